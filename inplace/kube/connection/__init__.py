"""Reaches the API server: kubeconfig and credentials, certificates, HTTP."""
