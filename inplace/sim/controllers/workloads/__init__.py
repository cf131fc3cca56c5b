"""The controllers of workloads: Deployments, ReplicaSets, StatefulSets, DaemonSets."""
