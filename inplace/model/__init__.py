"""Frozen structs of just the Kubernetes fields that inplace reads or writes, and the words of inplace itself. No I/O."""
