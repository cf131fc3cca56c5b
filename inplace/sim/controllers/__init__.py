"""The controllers of the control plane, as far as pods in place, their workloads and their Services need them.

Each works like a real one: events only put a key into its queue, a sync looks at everything afresh. Unlike real ones they
have no cache of their own, so they are late by their queue's delay but never read anything stale.
"""
