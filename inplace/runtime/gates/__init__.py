"""Opens and closes gates by labels, and finds out who opens them."""
