"""Describes a run to people who only look: its stages, its account, its workload halfway."""
