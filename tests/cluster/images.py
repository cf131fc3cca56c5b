"""Test images: static busybox whose page says the version, built by hand so that a version always has one digest."""

import gzip
import hashlib
import io
import json
import tarfile
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cluster.paths import write
from tests.cluster.processes import environment, run

WAIT = "while :; do sleep 3600 & wait $!; done"
# BOOT: seconds before it listens. PORT: for a second container in the pod. As pid 1, sh must trap TERM to die of it.
SCRIPTS = {
    "crash": "echo boom; exit 3",
    "mute": f'trap "exit 0" TERM INT; {WAIT}',
    "app": f'trap "exit 0" TERM INT; sleep "${{BOOT:-0}}" & wait $!; httpd -p "${{PORT:-8080}}" -h /www; {WAIT}',
}
LINKS = ("sh", "sleep", "httpd", "cat", "echo", "wget", "ls", "ps", "false", "true", "date", "kill", "touch", "test", "rm")
OCI = "application/vnd.oci.image."


@dataclass(frozen=True)
class Layer:
    """`diff_id` is the digest of what is gzipped."""

    gzipped: bytes
    diff_id: str

    @classmethod
    def of(cls, tar: bytes, level: int = 9) -> "Layer":
        return cls(gzip.compress(tar, level, mtime=0), digest(tar))


def push(registry: str, ref: str, version: str) -> str:
    """Push REGISTRY/REF. The versions `crash` (exits 3 at once), `mute` (never listens), `nocommand` (says nothing to be run)
    and `badcommand` (says what is not there) misbehave."""
    command = {"nocommand": [], "badcommand": ["/nope"]}.get(version, ["sh", "-c", SCRIPTS.get(version, SCRIPTS["app"])])
    config = {"Env": ["PATH=/bin", f"VERSION={version}"], "Cmd": command}
    return push_layers(registry, ref, config, Layer.of(root_filesystem(version)))


def push_layers(registry: str, ref: str, config: dict[str, Any], *layers: Layer) -> str:
    """Push REGISTRY/REF: these layers, the lowest first. `config` is that of the OCI image specification."""
    with tempfile.TemporaryDirectory() as folder:
        layout(Path(folder), config, layers)
        target = f"docker://{registry}/{ref}"
        run("skopeo", "copy", "--insecure-policy", "--dest-tls-verify=false", f"oci:{folder}:x", target, env=environment())
    return f"{registry}/{ref}"


def digest_of(registry: str, ref: str) -> str:
    """What the registry has under this name: `sha256:...`."""
    told = run(
        "skopeo", "inspect", "--tls-verify=false", "--format={{.Digest}}", f"docker://{registry}/{ref}", env=environment()
    )
    return told.strip()


def layout(out: Path, config: dict[str, Any], layers: Sequence[Layer]) -> None:
    """An OCI image layout, named x."""
    image = {
        "architecture": "amd64",
        "os": "linux",
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI + "manifest.v1+json",
        "config": put(out, "config.v1+json", json.dumps(image).encode()),
        "layers": [put(out, "layer.v1.tar+gzip", layer.gzipped) for layer in layers],
    }
    entry = put(out, "manifest.v1+json", json.dumps(manifest).encode())
    entry["annotations"] = {"org.opencontainers.image.ref.name": "x"}
    write(out / "index.json", json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    write(out / "oci-layout", json.dumps({"imageLayoutVersion": "1.0.0"}))


def put(out: Path, kind: str, blob: bytes) -> dict[str, Any]:
    path = out / "blobs" / digest(blob).replace(":", "/")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(blob)
    return {"mediaType": OCI + kind, "digest": digest(blob), "size": len(blob)}


def digest(blob: bytes) -> str:
    return "sha256:" + hashlib.sha256(blob).hexdigest()


def root_filesystem(version: str) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        for name in ("bin", "tmp", "www", "etc", "proc", "sys", "dev"):
            add(tar, name, tarfile.DIRTYPE, 0o1777 if name == "tmp" else 0o755)
        add(tar, "bin/busybox", tarfile.REGTYPE, 0o755, Path("/bin/busybox").read_bytes())
        add(tar, "www/index.html", tarfile.REGTYPE, 0o644, f"{version}\n".encode())
        for name in LINKS:
            add(tar, f"bin/{name}", tarfile.SYMTYPE, 0o777, link="busybox")
    return raw.getvalue()


def add(tar: tarfile.TarFile, name: str, kind: bytes, mode: int, data: bytes = b"", link: str = "") -> None:
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.size, info.linkname = kind, mode, len(data), link
    tar.addfile(info, io.BytesIO(data))
