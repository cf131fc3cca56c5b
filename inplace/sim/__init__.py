"""The embedded cluster: enough of Kubernetes 1.36 to run, watch and upgrade Deployments, on the real or on a virtual clock.

It speaks the REST API and shares no code with what is tested against it: it works on plain JSON, and imports nothing of
inplace. What it claims is held against a real cluster by running the same scenarios on both.
"""

from __future__ import annotations

from inplace.sim.cluster import Cluster

__all__ = ["Cluster"]
