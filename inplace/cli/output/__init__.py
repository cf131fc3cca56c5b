"""Writes to people and to machines: streams, tables, trees, plans. Everything goes through the one sanitiser."""
