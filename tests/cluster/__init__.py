"""A real Kubernetes on one Linux machine for the end-to-end tests, without Docker and with nothing of `inplace` in it.

etcd, kube-apiserver, controller manager, scheduler, kube-proxy and N real kubelets, each with its own containerd, and an
image registry on loopback. Service and pod addresses work from the host; none of them can leave the machine.
"""

from tests.cluster.cluster import Cluster

__all__ = ["Cluster"]
