"""Checks a run before its first write: what forbids it, what deserves a warning, and what admission makes of its writes."""
