"""Mutants of the safety rules: the tests must notice each of them. `make breaks` runs them."""
