"""Knows workloads: their templates and revisions, the sequence that makes each kind consistent, and changes by others."""
