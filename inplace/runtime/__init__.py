"""Carries out: watches, writes, locks and the loop between them. Decides nothing."""
