"""Plans one run: from a snapshot and the stored run to the actions to take now, and the run to store before them."""
