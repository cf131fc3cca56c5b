"""Checks a run before its first write: what refuses it, what is worth a warning, what admission makes of its writes."""
