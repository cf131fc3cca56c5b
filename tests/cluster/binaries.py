"""The cluster's binaries, compiled from the published Go modules: no download of anything but source."""

import fcntl
import json
import os
import re
import shutil
import time
from pathlib import Path

from tests.cluster.paths import binaries, cache, minor, release, write
from tests.cluster.processes import ClusterError, run

ETCD = "3.6.16"
COMMANDS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "kubectl")


def build() -> None:
    """Compile what is missing. Two processes at once: the second waits and finds the first one's work."""
    if not missing():
        return
    if not shutil.which("go"):
        raise ClusterError("Go is needed to compile the cluster's binaries, and there is no `go` in PATH")
    cache().mkdir(parents=True, exist_ok=True)
    with (cache() / "build.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for module, commands in (("k8s", COMMANDS), ("etcd", ("etcd",))):
            wanted = [c for c in commands if c in missing()]
            if wanted:
                folder = prepare(module)
                for command in wanted:
                    compile_command(folder, command)


def missing() -> list[str]:
    return [c for c in (*COMMANDS, "etcd") if not (binaries() / c).exists()]


def prepare(module: str) -> Path:
    folder = cache() / "src" / (f"k8s-{release()}" if module == "k8s" else module)
    packages = [f"k8s.io/kubernetes/cmd/{c}" for c in COMMANDS] if module == "k8s" else ["go.etcd.io/etcd/server/v3"]
    requires = kubernetes_requirements() if module == "k8s" else f"require go.etcd.io/etcd/server/v3 v{ETCD}\n"
    write(folder / "go.mod", f"module test{module}\n\ngo 1.26.0\n\n{requires}")
    imports = "".join(f'\t_ "{p}"\n' for p in packages)
    write(folder / "tools.go", f"//go:build tools\n\npackage test{module}\n\nimport (\n{imports})\n")
    run("go", "mod", "tidy", cwd=folder)
    return folder


def kubernetes_requirements() -> str:
    """k8s.io/kubernetes requires its staging modules as v0.0.0: replace each by its published version."""
    described = json.loads(run("go", "mod", "download", "-json", f"k8s.io/kubernetes@v{release()}", cwd=Path("/")))
    staging = re.findall(r"^\s*(k8s\.io/\S+) => \./staging", Path(described["GoMod"]).read_text(), re.M)
    version = "v0." + release().split(".", 1)[1]
    replaced = "".join(f"\t{s} => {s} {version}\n" for s in staging)
    return f"godebug default=go1.26\n\nrequire k8s.io/kubernetes v{release()}\n\nreplace (\n{replaced})\n"


def compile_command(folder: Path, command: str) -> None:
    package = "go.etcd.io/etcd/server/v3" if command == "etcd" else f"k8s.io/kubernetes/cmd/{command}"
    version = "k8s.io/component-base/version"
    flags = f"-s -w -X {version}.gitVersion=v{release()} -X {version}.gitMajor=1 -X {version}.gitMinor={minor()}"
    began = time.monotonic()
    target = binaries() / command
    part = target.with_suffix(".part")
    target.parent.mkdir(exist_ok=True)
    run("go", "build", "-trimpath", "-ldflags", flags, "-o", part, package, cwd=folder, env={**os.environ, "CGO_ENABLED": "0"})
    part.rename(target)
    print(f"cluster: built {command} in {time.monotonic() - began:.0f} s", flush=True)
