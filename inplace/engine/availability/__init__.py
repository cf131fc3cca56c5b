"""Counts how many pods may be out of service: by maxUnavailable, PodDisruptionBudgets and Services' last ready endpoints."""
