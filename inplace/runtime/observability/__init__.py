"""Tells what happened: frames of a run, Events, metrics, health, statistics."""
