"""Defines the Kubernetes objects with only the fields that inplace reads or writes."""
