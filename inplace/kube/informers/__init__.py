"""Keeps caches of objects true to the API server by LIST and WATCH, as client-go's reflectors and informers do."""
