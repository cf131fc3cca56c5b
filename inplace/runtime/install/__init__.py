"""Installs and removes the controller's manifests."""
