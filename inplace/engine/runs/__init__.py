"""Handles runs across commands: what resume, undo, abort and repair mean, and how an InPlaceRollout maps to a run."""
