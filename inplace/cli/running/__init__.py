"""Runs something in the foreground: drives a run, follows one, or asks its holder, and ends with a summary and an exit code."""
