"""Decides. Pure: no I/O, clock, randomness, threads, logging; time and everything seen are arguments."""
