"""Keys, certificates, tokens and kubeconfigs of an instance."""

import json
import secrets
from pathlib import Path

from tests.cluster.paths import Instance, write
from tests.cluster.processes import run

# Authority and leaf carry all that X.509's strict checks (Python 3.13's default) ask for.
LEAF = """basicConstraints=critical,CA:FALSE
keyUsage=critical,digitalSignature,keyEncipherment
extendedKeyUsage=serverAuth
subjectKeyIdentifier=hash
authorityKeyIdentifier=keyid
subjectAltName=IP:127.0.0.1,IP:10.96.0.1,IP:10.244.0.1,DNS:localhost,DNS:kubernetes.default.svc
"""


def keys(instance: Instance) -> Path:
    """Make an authority, the API server's certificate and the key that signs service accounts; return their folder."""
    folder = instance.state / "pki"
    write(folder / "leaf.ext", LEAF)
    rsa, days = ("-newkey", "rsa:2048", "-nodes"), ("-days", "3650")
    signs = ("-addext", "keyUsage=critical,keyCertSign,cRLSign")
    authority = ("-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial")
    for command in (
        ("genrsa", "-out", "sa.key", "2048"),
        ("rsa", "-in", "sa.key", "-pubout", "-out", "sa.pub"),
        ("req", "-x509", *rsa, *days, "-keyout", "ca.key", "-out", "ca.crt", "-subj", "/CN=test-ca", *signs),
        ("req", *rsa, "-keyout", "api.key", "-out", "api.csr", "-subj", "/CN=kube-apiserver"),
        ("x509", "-req", *days, "-in", "api.csr", *authority, "-out", "api.crt", "-extfile", "leaf.ext"),
    ):
        run("openssl", *command, cwd=folder)
    return folder


def tokens(instance: Instance) -> dict[str, str]:
    """Fresh tokens of `admin` (everything) and `viewer` (nothing). Random: the API server listens on every address."""
    made = {user: f"{user}token-{secrets.token_hex(16)}" for user in ("admin", "viewer")}
    lines = f"{made['admin']},admin,admin,system:masters\n{made['viewer']},viewer,viewer,\n"
    write(instance.state / "pki" / "tokens.csv", lines).chmod(0o600)
    return made


def kubeconfig(path: Path, server: str, ca: Path, token: str, namespace: str = "default") -> Path:
    """Write a kubeconfig for whoever owns the token. JSON is YAML."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": {"server": server, "certificate-authority": str(ca)}}],
        "users": [{"name": "user", "user": {"token": token}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "user", "namespace": namespace}}],
        "current-context": "test",
    }
    write(path, json.dumps(config, indent=1) + "\n").chmod(0o600)
    return path
