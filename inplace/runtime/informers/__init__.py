"""Builds on informers: the caches of a run or of a controller, the inbox of their changes, and the snapshot made of them."""
