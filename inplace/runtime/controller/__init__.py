"""Reconciles InPlaceRollouts: the manager, the controller and its work queue, admission of a rollout, the reconciler of one."""
