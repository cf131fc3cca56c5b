"""Holds what commands share: context, connection, options, help sections, targets, exit codes, signals, completions."""
