"""inplace upgrades the images of running Kubernetes pods without recreating them."""

__version__ = "0.1.0"
