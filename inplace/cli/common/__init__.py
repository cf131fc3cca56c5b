"""What commands share: their context, options, targets, exit codes, signals, completions."""
