"""Cleans up after runs without a living holder: their Leases, and what no Lease accounts for any more."""
