"""Opens and closes gates by labels, and finds who opens the gates of a target."""
