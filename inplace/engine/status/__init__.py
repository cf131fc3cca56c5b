"""Describes a run to users who only look: the stages of its pods, its state, and its workload in mid-run."""
