"""Frozen structs: the Kubernetes objects that inplace reads (`objects`), and what it stores and is asked for itself. No I/O."""
