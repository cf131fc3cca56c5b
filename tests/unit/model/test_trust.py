"""A stored run is input: what no run of ours says is none of ours."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from inplace.model.objects.meta import ObjectMeta, OwnerReference
from inplace.model.refs import TargetRef
from inplace.model.run import CommitState, PauseStep, PodsStep, RunOptions, lease_name
from inplace.model.trust import lease_mismatch, run_problem
from tests.builders import NS, run

TARGET = TargetRef("Deployment", NS, "web")
OWNER = OwnerReference("Deployment", "web", "uid-web")
LEASE = ObjectMeta(name=lease_name(TARGET), namespace=NS, owner_references=(OWNER,))


def test_a_run_of_ours_is_one() -> None:
    mine = run(target=TARGET, target_uid="uid-web")
    assert (run_problem(mine), lease_mismatch(mine, LEASE)) == ("", "")
    assert lease_mismatch(run(target=TARGET, target_uid=""), LEASE) == "", "of before the uid was stored"
    pods = TargetRef("Pods", NS, pod_names=("a", "b"))
    assert lease_mismatch(run(target=pods), ObjectMeta(name=lease_name(pods), namespace=NS)) == ""


@pytest.mark.parametrize(
    ("fields", "lease"),
    [
        ({"namespace": "elsewhere"}, {}),
        ({}, {"namespace": "elsewhere"}),
        ({"name": "api"}, {}),
        ({"kind": "DaemonSet"}, {}),
        ({}, {"name": "inplace-deployment-api"}),
        ({}, {"owner_references": (OwnerReference("Deployment", "web", "another"),)}),
    ],
)
def test_a_run_that_is_not_of_its_lease(fields: dict[str, Any], lease: dict[str, Any]) -> None:
    forged = run(target=msgspec.structs.replace(TARGET, **fields), target_uid="uid-web")
    assert lease_mismatch(forged, msgspec.structs.replace(LEASE, **lease)) != ""


WRONG: dict[str, dict[str, Any]] = {
    "a name that leads elsewhere": {"target": TargetRef("Deployment", NS, "a/../b")},
    "a pod that is a path": {"target": TargetRef("Pods", NS, pod_names=("a/b",))},
    "a selector that is none": {"target": TargetRef("Pods", NS, selector="a=b,,c")},
    "names and labels": {"target": TargetRef("Pods", NS, pod_names=("a",), selector="a=b")},
    "a container that is none": {"images": {"App!": "app:2"}},
    "an image that is none": {"images": {"app": "app 2; rm"}},
    "an image that is too long": {"images": {"app": "a" * 2000}},
    "containers without end": {"images": {f"c{n}": "app:2" for n in range(300)}},
    "a commit where there is none": {"target": TargetRef("DaemonSet", NS, "web"), "commit": CommitState()},
    "the kubelet's gate": {"options": RunOptions(gate="Ready")},
    "a negative duration": {"options": RunOptions(settle_seconds=-1)},
    "no end": {"options": RunOptions(restart_timeout_seconds=float("inf"))},
    "no number": {"options": RunOptions(drain_timeout_seconds=float("nan"))},
    "a pause of years": {"options": RunOptions(steps=(PauseStep(seconds=1e12), PodsStep("100%")))},
    "more than all": {"options": RunOptions(max_unavailable="1000%")},
    "less than none": {"options": RunOptions(max_unavailable=-1)},
    "no last step": {"options": RunOptions(steps=())},
}


@pytest.mark.parametrize("fields", WRONG.values(), ids=WRONG)
def test_what_no_run_asks_for(fields: dict[str, Any]) -> None:
    assert run_problem(run(**fields)) != ""
