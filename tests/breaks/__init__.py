"""Deliberate breaks of the safety rules: each must be caught by `make test`. Run by `make breaks`."""
