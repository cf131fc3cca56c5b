"""Knows one pod: its stages, when it is drained, when its restart is proven, what keeps its containers from starting."""
