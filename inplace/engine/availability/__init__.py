"""Counts what may be out of service: maxUnavailable, PodDisruptionBudgets, the last ready endpoint of a Service."""
