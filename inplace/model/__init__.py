"""Defines frozen structs: the Kubernetes objects that inplace reads (`objects`), and its own stored state and input. No I/O."""
