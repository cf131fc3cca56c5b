"""Assesses one pod: its stage, whether it is drained, whether its restart is proven, and why its containers do not start."""
