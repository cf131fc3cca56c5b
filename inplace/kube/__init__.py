"""Talks to the API server. The only package that imports `kubernetes`; it knows nothing of upgrades.

This floor holds typed requests (`api`), their errors, retries and rates, and the work queue; below it are the connection
and the informers.
"""
