"""The project's own image, without Docker: the wheel on top of this Python, its shared libraries and the locked dependencies.

Two layers. The lower one (Python and the dependencies) takes half a minute, so the cache keeps it under what it is made of;
the upper one is the wheel, and is made every time.
"""

import fcntl
import hashlib
import io
import json
import os
import re
import shutil
import sys
import sysconfig
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

from inplace import __version__
from tests.cluster.images import Layer, push_layers
from tests.cluster.paths import cache
from tests.cluster.processes import environment, run

PROJECT = Path(__file__).parents[2]
PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"
HOME, LIBRARIES = "usr/local", "lib"
PACKAGES = f"{HOME}/lib/{PYTHON}/site-packages"
USER = "65532:65532"
START = f"#!/{HOME}/bin/{PYTHON}\nfrom inplace.cli.main import main\n\nmain()\n"
UNUSED = (
    *("__pycache__", "site-packages", "dist-packages", "test", "tests", "_test*", "_ctypes_test*", "config-*"),
    *("idlelib", "tkinter", "_tkinter*", "turtledemo", "ensurepip", "lib2to3"),
)


def push_program(registry: str) -> str:
    """Push the image that the Dockerfile describes, as REGISTRY/inplace:VERSION-HASH: nodes keep a tag that they have."""
    config = {
        "Env": [f"PATH=/{HOME}/bin", f"LD_LIBRARY_PATH=/{LIBRARIES}", "HOME=/", "PYTHONDONTWRITEBYTECODE=1"],
        "Entrypoint": [f"/{HOME}/bin/inplace"],
        "User": USER,
    }
    layers = python_layer(), program_layer()
    made_of = hashlib.sha256(" ".join(layer.diff_id for layer in layers).encode()).hexdigest()
    return push_layers(registry, f"inplace:{__version__}-{made_of[:8]}", config, *layers)


def program_layer() -> Layer:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "root"
        wheels = Path(folder) / "wheels"
        run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", wheels, cwd=PROJECT)
        with zipfile.ZipFile(next(wheels.glob("*.whl"))) as wheel:
            wheel.extractall(root / PACKAGES)
        start = root / HOME / "bin" / "inplace"
        start.parent.mkdir(parents=True)
        start.write_text(START)
        start.chmod(0o755)
        compile_all(root)
        return Layer.of(packed(root))


def python_layer() -> Layer:
    """From the cache, or made now; several processes at once make it once."""
    made_of = (sys.version, sys.base_prefix, (PROJECT / "requirements.lock").read_text(), Path(__file__).read_text())
    path = cache() / "program" / hashlib.sha256("\0".join(made_of).encode()).hexdigest()[:16]
    path.parent.mkdir(parents=True, exist_ok=True)
    with (path.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.with_suffix(".json").exists():
            with tempfile.TemporaryDirectory() as folder:
                fill(Path(folder))
                layer = Layer.of(packed(Path(folder)), level=1)
            path.with_suffix(".gz").write_bytes(layer.gzipped)
            path.with_suffix(".json").write_text(json.dumps(layer.diff_id))
    return Layer(path.with_suffix(".gz").read_bytes(), json.loads(path.with_suffix(".json").read_text()))


def fill(root: Path) -> None:
    paths = sysconfig.get_paths()
    target = root / HOME / "lib" / PYTHON
    for source in {paths["stdlib"], paths["platstdlib"]}:
        if Path(source, "os.py").exists() or Path(source, "lib-dynload").exists():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns(*UNUSED), dirs_exist_ok=True)
    program = root / HOME / "bin" / PYTHON
    program.parent.mkdir(parents=True)
    shutil.copy(os.path.realpath(sys.executable), program)
    for file in dependencies():
        where = root / PACKAGES / str(file)
        where.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file.locate(), where)
    for library, name in shared_libraries([program, *root.rglob("*.so")]):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(library, root / name)
    compile_all(root)


def dependencies() -> Iterator[metadata.PackagePath]:
    """The files of all packages that the program needs at run time, as they are installed here."""
    names, seen = ["inplace"], set()
    while names:
        name = names.pop()
        if name in seen:
            continue
        seen.add(name)
        found = metadata.distribution(name)
        for line in found.requires or ():
            wanted = Requirement(line)
            if wanted.marker is None or wanted.marker.evaluate({"extra": ""}):
                names.append(wanted.name)
        if name != "inplace":
            yield from (file for file in found.files or () if ".." not in file.parts and file.suffix != ".pyc")


def shared_libraries(programs: list[Path]) -> list[tuple[Path, str]]:
    """What they are linked with, and the place in the image of each: the loader has one of its own."""
    told = run("ldd", *programs, env=environment())
    named = {(Path(path), f"{LIBRARIES}/{name}") for name, path in re.findall(r"^\s+(\S+) => (/\S+) \(", told, re.M)}
    loaders = {(Path(path), path.lstrip("/")) for path in re.findall(r"^\s+(/\S+) \(", told, re.M)}
    return sorted(named | loaders)


def compile_all(root: Path) -> None:
    """The root is read-only, so nothing can be compiled later; by hash, since a layer's files have no times."""
    options = ("-q", "-q", "-j", "2", "--invalidation-mode", "unchecked-hash", "-s", root, "-p", "/")
    run(sys.executable, "-m", "compileall", *options, root, check=False)  # some packages ship templates that are no Python


def packed(root: Path) -> bytes:
    """A tar that is the same for the same files, owned by root."""

    def plain(info: tarfile.TarInfo) -> tarfile.TarInfo:
        info.uid = info.gid = info.mtime = 0
        info.uname = info.gname = ""
        info.mode = 0o755 if info.isdir() or info.mode & 0o100 else 0o644
        return info

    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        for path in sorted(root.rglob("*")):
            tar.add(path, str(path.relative_to(root)), recursive=False, filter=plain)
    return raw.getvalue()
