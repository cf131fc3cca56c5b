"""Prints the peak resident memory, in MB, of caching and judging 10,000 pods that the API server sends in pages."""

from __future__ import annotations

import json
import resource
from collections.abc import Iterator
from contextlib import AbstractContextManager

from inplace.engine.pods.evidence import update_evidence
from inplace.engine.snapshot import Evidence, ObservedPod, observe_pod
from inplace.kube.clock import SystemClock
from inplace.kube.informers.cache import Cache
from inplace.kube.informers.reflector import List, Reflector
from inplace.kube.informers.reflector_thread import execute
from inplace.kube.protocols import Request, Response, Stream
from inplace.kube.resources import PODS
from inplace.model.objects.pods import Pod

PODS_IN_ALL = 10_000


def pod(i: int) -> dict[str, object]:
    """About 4 KB of JSON with managedFields, as an API server sends it."""
    conditions = [
        {"type": t, "status": "True", "lastTransitionTime": "2026-11-23T10:00:00Z"} for t in ("Ready", "ContainersReady")
    ]
    managed = [{"manager": "kubelet", "operation": "Update", "fieldsV1": {f"f:field{j}": {} for j in range(60)}}]
    container = {"name": "app", "image": "registry/app:1", "env": [{"name": f"E{j}", "value": "v" * 20} for j in range(20)]}
    status = {
        "name": "app",
        "ready": True,
        "containerID": f"containerd://{i:064x}",
        "imageID": "sha256:0",
        "state": {"running": {}},
    }
    return {
        "metadata": {
            "name": f"web-{i}",
            "namespace": "shop",
            "uid": f"{i:08x}-0000-0000-0000-000000000000",
            "resourceVersion": str(i + 1),
            "labels": {"app": "web", "pod-template-hash": "abc"},
            "managedFields": managed,
        },
        "spec": {"containers": [container], "nodeName": f"node-{i % 50}"},
        "status": {
            "phase": "Running",
            "podIP": f"10.0.{i // 250}.{i % 250}",
            "conditions": conditions,
            "containerStatuses": [status],
        },
    }


class Pages:
    """A transport that serves one list."""

    def call(self, request: Request, timeout_seconds: float) -> Response:
        query = dict(request.query)
        start = int(query.get("continue", "0"))
        end = min(start + int(query["limit"]), PODS_IN_ALL)
        meta = {"resourceVersion": str(PODS_IN_ALL), **({"continue": str(end)} if end < PODS_IN_ALL else {})}
        body = {"metadata": meta, "items": [pod(i) for i in range(start, end)]}
        return Response(status=200, body=json.dumps(body).encode())

    def stream(self, request: Request, read_timeout_seconds: float) -> AbstractContextManager[Stream]:
        raise NotImplementedError


def main() -> None:
    cache: Cache[Pod] = Cache()
    facts: dict[str, ObservedPod] = {}
    evidence: dict[str, Evidence] = {}

    def judged(_old: Pod | None, new: Pod | None) -> None:
        assert new is not None
        facts[new.uid] = observe_pod(new, ())
        evidence[new.uid] = update_evidence(None, facts[new.uid], frozenset(), 0.0)

    cache.subscribe(judged)
    reflector = Reflector(PODS, cache, SystemClock())
    for command in commands(reflector):
        execute(command, reflector, Pages())
    assert len(cache.snapshot()) == PODS_IN_ALL
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def commands(reflector: Reflector[Pod]) -> Iterator[List]:
    while isinstance(command := reflector.next_command(), List):
        yield command


if __name__ == "__main__":
    main()
