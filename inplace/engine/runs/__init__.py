"""Knows runs across commands: what resume, undo, abort and repair mean, and how an InPlaceRollout and its run correspond."""
