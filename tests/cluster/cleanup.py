"""Stop an instance and remove all it made, from whatever state a killed run left it in.

Only what is surely ours: recorded processes with the recorded start time, shims that name our sockets, processes in our
cgroups, mounts below our folders.
"""

import shutil
from pathlib import Path

from tests.cluster import lock, network
from tests.cluster.node import cgroup_roots
from tests.cluster.paths import RUN, Instance
from tests.cluster.processes import kill, recorded, run
from tests.cluster.wait import eventually

LOG_LINKS = Path("/var/log/containers")  # kubelets put them there, whatever one tells them


def sweep() -> None:
    """Take down every instance. For the holder of the machine's lock, to whom all are leftovers."""
    for folder in RUN.iterdir():
        if folder.is_dir():
            stop(Instance(folder.name))
    network.remove()


def down(instance: Instance) -> None:
    if instance.run.exists():
        stop(instance)
        network.remove()
    lock.release(instance.name)


def stop(instance: Instance) -> None:
    link = instance.run / "state"
    state = link.resolve() if link.is_symlink() else instance.state
    for pid in recorded(instance):
        kill(pid)
    eventually(lambda: not kill_containers(instance), f"the end of the containers of {instance.name}", 30)
    for mount in mounts_below(state, instance.run):
        run("umount", "-l", mount, check=False)
    eventually(lambda: not remove_cgroups(instance), f"the removal of the cgroups of {instance.name}", 30)
    for log in LOG_LINKS.glob("*.log"):
        if log.is_symlink() and log.readlink().is_relative_to(state):
            log.unlink()
    shutil.rmtree(state, ignore_errors=True)
    shutil.rmtree(instance.run)


def kill_containers(instance: Instance) -> list[int]:
    """Kill shims and what runs in our cgroups; return whom we found."""
    found = {pid for pid, line in command_lines() if "containerd-shim" in line and f"{instance.run}/" in line}
    for root in cgroup_roots():
        for top in root.glob(instance.cgroup("*")):
            for procs in top.rglob("cgroup.procs"):
                found.update(int(p) for p in procs.read_text().split())
    for pid in found:
        kill(pid)
    return sorted(found)


def command_lines() -> list[tuple[int, str]]:
    lines = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append((int(file.parent.name), file.read_text(errors="replace")))
        except OSError:
            continue
    return lines


def mounts_below(*folders: Path) -> list[str]:
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    return sorted((m for m in mounts if any(Path(m).is_relative_to(f) for f in folders)), reverse=True)


def remove_cgroups(instance: Instance) -> list[Path]:
    """Remove our cgroups from the leaves up; return those the kernel still keeps."""
    tops = [top for root in cgroup_roots() for top in root.glob(instance.cgroup("*"))]
    folders = [p for top in tops for p in (top, *top.rglob("*")) if p.is_dir()]
    kept = []
    for folder in sorted(folders, key=lambda p: len(p.parts), reverse=True):
        try:
            folder.rmdir()
        except OSError:
            kept.append(folder)
    return kept
