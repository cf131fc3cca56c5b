"""Drives one run: the loop, the executor and its workers, and what a run is before it starts."""
