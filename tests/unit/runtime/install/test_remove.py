"""What was installed goes again, but nothing that is not ours, and nothing while a run is live."""

from __future__ import annotations

from typing import Any

import pytest

from inplace.kube.clock import format_micro_time
from inplace.model.constants import DEFAULT_GATE, FINALIZER
from inplace.model.refs import TargetRef
from inplace.model.run import lease_name
from inplace.runtime.install.apply import apply, existing
from inplace.runtime.install.remove import (
    GatedWorkload,
    gated,
    live_runs,
    managed_gates,
    remove,
    remove_finalizers,
    rollouts_left,
)
from inplace.runtime.observability.frames import Frame
from tests.simulation.simulated_cluster import SimulatedCluster
from tests.unit.runtime.install.manifests import ACCOUNT, ALL, NAMESPACE, SETTINGS
from tests.unit.runtime.rollouts import PATH, create_rollout, read_rollout

WEB = TargetRef("Deployment", "shop", "web")
HOME = "inplace-system"


def test_ours_goes_and_what_lacks_our_label_stays(world: SimulatedCluster) -> None:
    list(apply(world.api, ALL))
    path = f"/api/v1/namespaces/{HOME}/serviceaccounts/{ACCOUNT.name}"
    world.request("PATCH", path, {"metadata": {"labels": None}}, "application/merge-patch+json")
    assert [removed.removal for removed in remove(world.api, (ACCOUNT, SETTINGS))] == ["deleted", "left"]
    assert [removed.removal for removed in remove(world.api, (SETTINGS,))] == ["absent"]
    assert existing(world.api, ACCOUNT) is not None


def test_a_dry_run_removes_nothing(world: SimulatedCluster) -> None:
    list(apply(world.api, ALL))
    assert [removed.removal for removed in remove(world.api, ALL, dry_run=True)] == ["deleted"] * 3
    assert existing(world.api, NAMESPACE) is not None


def test_a_run_is_live_while_its_holder_renews(world: SimulatedCluster) -> None:
    world.app("web", "reg/app:1", replicas=2)

    class Died(Exception):
        pass

    def die(frame: Frame) -> None:
        if any(pod.stage == "Settling" for pod in frame.plan.pods):
            raise Died

    with pytest.raises(Died):
        world.upgrade("web", {"app": "reg/app:2"}, on_frame=die)
    assert live_runs(world.api, "shop", HOME) == [], "nobody renews"

    def renew() -> None:
        body: dict[str, Any] = {"spec": {"renewTime": format_micro_time(world.clock.utcnow())}}
        lease = world.path("coordination.k8s.io", "leases", lease_name(WEB))
        world.request("PATCH", lease, body, "application/merge-patch+json")
        world.scheduler.after(5, renew)

    renew()
    assert [str(run) for run in live_runs(world.api, None, HOME)] == [f"{WEB} in shop (held by holder-1)"]


def test_finalizers_come_off_every_rollout_that_has_one(with_rollouts: SimulatedCluster) -> None:
    for name in ("a", "b", "c"):
        create_rollout(with_rollouts, name)
    for name in ("a", "b"):
        body = {"metadata": {"finalizers": [FINALIZER]}}
        with_rollouts.request("PATCH", f"{PATH}/{name}", body, "application/merge-patch+json")
    assert rollouts_left(with_rollouts.api) == 3
    assert remove_finalizers(with_rollouts.api, "shop") == 2
    assert not read_rollout(with_rollouts, "a").metadata.finalizers


def test_a_cluster_without_rollouts_has_none_left(world: SimulatedCluster) -> None:
    assert (rollouts_left(world.api), remove_finalizers(world.api, None)) == (0, 0)


def test_workloads_whose_gate_nobody_will_open_are_named(world: SimulatedCluster) -> None:
    world.deployment("web", "reg/app:1", replicas=1)
    world.deployment("plain", "reg/app:1", replicas=1, gate=None)
    world.scheduler.run_for(5)
    gates = managed_gates(world.api, ())
    assert gates == {DEFAULT_GATE}
    assert gated(world.api, "shop", gates) == [GatedWorkload("shop", "deploy/web", DEFAULT_GATE)]
