"""Decides what to do next. It is pure: no I/O, clock, randomness, threads or logging; time and observations are arguments.

This floor holds the vocabulary: the snapshot that is decided on, the actions that are decided, timers, and gate rules. The
folders build on each other in this order: `workloads` and `pods`, `availability`, `planning`, `preflight`, `runs`, `status`.
"""
