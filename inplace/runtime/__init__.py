"""Carries out: watches, writes, locks and the loop between them. Decides nothing.

This floor holds what everything above shares: finding a target, permissions, settings, requests. The folders build on each
other in this order: `observability`, `lease` and `informers`, `gates`, `run`, then `foreground` and `controller`, `install` and
`repair`.
"""
