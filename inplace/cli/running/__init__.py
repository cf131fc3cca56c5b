"""Drives a run in the foreground, follows one, or sends a command to its holder. Prints the end and returns an exit code."""
