"""Prints for people and for machines: streams, tables, trees, plans. Everything goes through the one sanitiser."""
