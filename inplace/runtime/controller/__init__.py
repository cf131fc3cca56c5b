"""Reconciles InPlaceRollouts: the process and its assembly (manager), the queue and its workers (controller, event handlers),
what a key needs (syncer, status writer), and one rollout's run (reconciler, admission, context, states)."""
