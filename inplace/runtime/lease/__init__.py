"""Works with Leases: the lock of a target, leader election, claims of PodDisruptionBudgets."""
