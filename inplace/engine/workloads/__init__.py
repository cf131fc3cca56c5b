"""Holds what several kinds of workload share: templates, revisions and field owners, and both sequences around a template."""
