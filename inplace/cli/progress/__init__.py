"""Shows a run while it goes on: live on a terminal, as lines elsewhere."""
