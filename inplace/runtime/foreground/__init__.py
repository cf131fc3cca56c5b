"""Serves commands: a session that drives a run, a follower of somebody else's, repair, and what `status` shows."""
