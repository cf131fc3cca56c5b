"""Who opens the gates of new pods, by the Leases that they renew."""

from __future__ import annotations

from inplace.engine.gate_openers import Announcement, GateOpeners, encode_announcement
from inplace.engine.gate_rules import GateRule
from inplace.kube.clock import format_micro_time
from inplace.kube.protocols import Request, Response
from inplace.model.constants import GATES_ANNOTATION
from inplace.model.refs import TargetRef
from inplace.runtime.gates.openers import with_openers
from tests.builders import GATE, observed
from tests.simulation.simulated_cluster import SimulatedCluster
from tests.unit.kube.fakes import refusal

WEB = TargetRef("Deployment", "shop", "web")
OURS = encode_announcement(Announcement((GateRule(GATE, "example"),)))


def look(world: SimulatedCluster, gate: str = GATE) -> GateOpeners | None:
    return with_openers(world.api, observed(), WEB, gate).gate_openers


def announce(
    world: SimulatedCluster, name: str, *, component: str = "gate", gates: str | None = OURS, holder: str = "pod-1"
) -> None:
    labels = {"app.kubernetes.io/part-of": "inplace", "app.kubernetes.io/component": component}
    annotations = {} if gates is None else {GATES_ANNOTATION: gates}
    spec = {"holderIdentity": holder, "renewTime": format_micro_time(world.clock.utcnow())}
    body = {"metadata": {"name": name, "labels": labels, "annotations": annotations}, "spec": spec}
    world.request("POST", world.path("coordination.k8s.io", "leases"), body)


def test_nobody_is_looked_for_where_no_new_pod_has_the_gate(world: SimulatedCluster) -> None:
    before = dict(world.transport.requests)
    assert look(world, "example.com/other") is None
    assert world.transport.requests == before


def test_a_living_opener_ends_the_search(world: SimulatedCluster) -> None:
    announce(world, "gates")
    before = sum(world.transport.requests.values())
    found = look(world)
    assert found is not None
    (opener,) = found.openers
    assert (opener.name, opener.is_alive) == ("inplace gate run pod-1 (Lease shop/gates)", True)
    assert sum(world.transport.requests.values()) == before + 1


def test_an_opener_that_stopped_renewing_is_dead(world: SimulatedCluster) -> None:
    announce(world, "gates")
    world.scheduler.run_for(60)
    found = look(world)
    assert found is not None
    assert [(one.is_alive, one.renewed_seconds_ago) for one in found.openers] == [(False, 60.0)]


def test_an_opener_that_let_go_has_no_holder(world: SimulatedCluster) -> None:
    announce(world, "gates", holder="")
    found = look(world)
    assert found is not None
    assert [(one.name, one.is_alive) for one in found.openers] == [("inplace gate run (Lease shop/gates)", False)]


def test_a_claim_of_a_budget_is_no_opener(world: SimulatedCluster) -> None:
    announce(world, "inplace-pdb-tier", component="budget", gates=None)
    found = look(world)
    assert found == GateOpeners((), "")


def test_leases_that_may_not_be_listed_make_it_unknown(world: SimulatedCluster) -> None:
    def refuse_lists(request: Request) -> Response | None:
        return refusal(403, "no", "Forbidden") if request.path.endswith("/leases") else None

    world.transport.interfere = refuse_lists
    found = look(world)
    assert found is not None
    assert found == GateOpeners((), "you may not list Leases in namespace shop")
