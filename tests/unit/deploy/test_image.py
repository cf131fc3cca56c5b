"""What the image is built from is what was locked and tested, file by file."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[3]
LOCK = (ROOT / "requirements.lock").read_text()


def test_every_locked_package_has_its_hashes() -> None:
    packages = re.split(r"^(?=[a-z0-9])", LOCK, flags=re.M)[1:]
    assert len(packages) > 20
    assert [p.splitlines()[0] for p in packages if "--hash=sha256:" not in p] == []


def test_the_build_backend_is_locked_too() -> None:
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]
    assert all(re.search(rf"^{re.split('[<>=]', name)[0]}==", LOCK, re.M) for name in build["requires"])


def test_the_image_takes_nothing_from_the_network_but_that() -> None:
    (run,) = re.findall(r"^RUN (.*?[^\\])$", (ROOT / "Dockerfile").read_text(), re.M | re.S)
    fetch, *rest = run.split("&&")
    assert "pip download" in fetch
    assert "--require-hashes -r requirements.lock" in fetch
    assert "PIP_NO_INDEX=1" in rest[0]
