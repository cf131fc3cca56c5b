"""Pods on their way through an upgrade, and the plan that is made for them, for tests of what may go wrong there."""

from typing import Any

from inplace.engine.planning.plan import Plan, PlanContext
from inplace.engine.planning.planner import plan
from inplace.engine.snapshot import ObservedPod, Snapshot
from inplace.model.run import OnFailure, Run, RunOptions
from tests.builders import NEW, OLD, SPEC, in_service, patched, pod, record, run, status

NOW = 1000.0


def options(on_failure: OnFailure = "pause", **fields: Any) -> RunOptions:
    return RunOptions(on_failure=on_failure, max_unavailable=1, **fields)


def planned(view: Snapshot, r: Run | None = None, spec: PlanContext = SPEC, now: float = NOW) -> Plan:
    return plan(view, spec, r or run(options()), now)


def draining() -> ObservedPod:
    return in_service(pod("web-0", gate="False", record=record()))


def restarting(waiting: str = "", id_: str = "c1", observed_: int = 2, **fields: Any) -> ObservedPod:
    """Without a reason to wait the old container has just ended."""
    shown = [status("app", id_, (OLD if id_ == "c1" else NEW)["app"], waiting=waiting, terminated=not waiting)]
    base = {"images": NEW, "ready": False, "gate": "False", "record": patched(), "generation": 2, "observed": observed_}
    return in_service(pod("web-0", **{**base, "statuses": shown, **fields}))


def returning() -> ObservedPod:
    return in_service(pod("web-0", images=NEW, ready=False))


def closed() -> ObservedPod:
    return in_service(pod("web-0", ready=False, gate="False", record=record()))


def others(n: int = 2) -> list[ObservedPod]:
    return [in_service(pod(f"web-{i + 1}")) for i in range(n)]
