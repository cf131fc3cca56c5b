"""Writes the kubeconfig by which clients find the embedded cluster."""

from __future__ import annotations

from pathlib import Path

import yaml

NAME = "inplace-sim"


def kubeconfig(url: str, namespace: str = "default") -> str:
    """The text of a kubeconfig with one context. The token is never checked."""
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": NAME, "cluster": {"server": url}}],
            "users": [{"name": NAME, "user": {"token": "none"}}],
            "contexts": [{"name": NAME, "context": {"cluster": NAME, "user": NAME, "namespace": namespace}}],
            "current-context": NAME,
        },
        sort_keys=False,
    )


def write_kubeconfig(path: Path, url: str, namespace: str = "default") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(kubeconfig(url, namespace))
    path.chmod(0o600)
