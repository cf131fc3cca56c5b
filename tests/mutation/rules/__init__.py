"""The mutants, a module for each part of what is promised."""
