"""Decides. Pure: no I/O, clock, randomness, threads, logging; time and everything seen are arguments.

This floor holds the vocabulary: the snapshot that is decided on, the actions that are decided, timers, and gate rules. The
folders build on each other in this order: `workloads` and `pods`, `availability`, `planning`, `preflight`, `runs`, `status`.
"""
