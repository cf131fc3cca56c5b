"""What scenarios of failure, refusal and interruption have in common: the workload, what happened, and the end state."""

import json
from collections.abc import Callable, Iterable
from typing import Any

from tests.cluster import Cluster
from tests.e2e import support
from tests.e2e.support import GATE, Object, eventually
from tests.recorder import Event, Recorder
from tests.recorder.history import end, replay
from tests.recorder.log import RECORD, annotation, condition, images, terminating
from tests.recorder.writers import written_by
from tests.scenarios.stage import Result

SETTLE = ("--settle", "1s")  # free, and enough for kube-proxy (design, section 9)
LEASE = "inplace-deployment-web"


def app(cluster: Cluster, tag: str) -> str:
    return f"{cluster.registry}/app:{tag}"


def web(cluster: Cluster, ns: str, *, replicas: int = 3, tag: str = "1", serve: bool = True, **options: Any) -> None:
    """Deployment web, all pods Ready, with a Service of the same name if `serve`."""
    served = [support.service("web")] if serve else []
    support.deploy(
        cluster, ns, support.deployment("web", app(cluster, tag), replicas=replicas, **options), *served, count=replicas
    )


def our_writes(recorder: Recorder, since: int = 0) -> list[str]:
    """Everything that `inplace` wrote after `since`, or after the last mark: what a person can read."""
    found = []
    for step in replay(recorder.log()):
        event = step.event
        if event.rv <= (since or recorder.since):
            continue
        if event.type == "DELETED":
            ours = event.kind == "Lease" and event.name.startswith("inplace-")
        elif step.before is None:
            ours = any(e.get("manager", "").startswith("inplace") for e in event.object["metadata"].get("managedFields") or [])
        else:
            ours = written_by(step.before, event.object, GATE)
        if ours:
            found.append(f"{event.type} {event.kind} {event.name} at {event.rv}")
    return found


def refused(result: Result, code: int, *words: str) -> None:
    """One clear line, the code, and nothing on stdout."""
    said = f"exit {result.code}\nstdout: {result.stdout}\nstderr: {result.stderr}"
    lines = result.stderr.splitlines()
    assert result.code == code, said
    assert len(lines) == 1, said
    assert lines[0].startswith("error: "), said
    assert result.stdout == "", said
    assert "Traceback" not in said, said
    for word in words:
        assert word in lines[0], f"{word!r} is not in: {lines[0]}"


def living(log: Iterable[Event]) -> list[Object]:
    """The pods as of the end of the log."""
    return [p for p in end(log).all("Pod").values() if not terminating(p)]


def recorded(pods: Iterable[Object]) -> list[Object]:
    """Those that an upgrade works on."""
    return [p for p in pods if annotation(p, RECORD)]


def until(recorder: Recorder, happened: Callable[[list[Event]], Any], what: str, seconds: float = 60) -> None:
    """Wait until the log shows it, looking often."""
    eventually(lambda: happened(recorder.so_far()), what, seconds, every=0.01)


def any_closed(log: list[Event]) -> bool:
    return any(condition(p, GATE) == "False" for p in recorded(living(log)))


def any_patched(image: str) -> Callable[[list[Event]], bool]:
    return lambda log: any(image in images(p).values() for p in living(log))


def back(image: str, count: int) -> Callable[[list[Event]], bool]:
    """At least so many pods run the image and serve."""

    def happened(log: list[Event]) -> bool:
        served = [p for p in living(log) if condition(p, "Ready") == "True" and not annotation(p, RECORD)]
        return sum(1 for p in served if image in images(p).values()) >= count

    return happened


def with_image(cluster: Cluster, ns: str, image: str) -> set[str]:
    """The names of the pods that ask for it."""
    return {name for name, found in support.images(cluster, ns).items() if image in found.values()}


def no_orphans(cluster: Cluster, ns: str) -> None:
    """No pod is closed or carries a record."""
    for pod in support.pods(cluster, ns):
        name = pod["metadata"]["name"]
        assert not annotation(pod, RECORD), f"{name} still carries a record"
        assert support.condition(pod, GATE) == "True", f"{name} was left closed"


def stored_run(cluster: Cluster, ns: str, lease: str = LEASE) -> Object:
    found = support.get(cluster, ns, f"lease/{lease}")
    run: Object = json.loads(found["metadata"]["annotations"]["inplace.dev/run"])
    return run


def revisions(cluster: Cluster, ns: str) -> dict[int, str]:
    """Revision to the image of container `app`, of every ReplicaSet."""
    items = json.loads(cluster.kubectl("-n", ns, "get", "replicasets", "-o", "json"))["items"]
    key = "deployment.kubernetes.io/revision"
    return {
        int(rs["metadata"]["annotations"][key]): rs["spec"]["template"]["spec"]["containers"][0]["image"].rpartition(":")[2]
        for rs in items
    }


def consistent(cluster: Cluster, ns: str, tag: str, history: dict[int, str], replicas: int = 3) -> None:
    """Deployment web is as a classic rollout would have left it, every pod serves, and the lock is free."""
    deployment = support.get(cluster, ns, "deploy/web")
    status, image = deployment["status"], app(cluster, tag)
    assert "paused" not in deployment["spec"]
    assert deployment["spec"]["template"]["spec"]["containers"][0]["image"] == image
    assert status["observedGeneration"] == deployment["metadata"]["generation"]
    assert [status[k] for k in ("replicas", "updatedReplicas", "readyReplicas")] == [replicas] * 3
    assert revisions(cluster, ns) == history
    pods = support.pods(cluster, ns)
    assert {p["spec"]["containers"][0]["image"] for p in pods} == {image}
    assert [support.condition(p, "Ready") for p in pods] == ["True"] * replicas
    no_orphans(cluster, ns)
    lease = support.get(cluster, ns, f"lease/{LEASE}")
    assert not lease["spec"].get("holderIdentity")
    assert stored_run(cluster, ns)["outcome"] == "Succeeded"
