"""What becomes of new pods, in words: before a run, where a rollout hangs, and for those who look."""

from __future__ import annotations

import pytest

from inplace.engine.gate_openers import Announcement, GateOpener, GateOpeners
from inplace.engine.gate_rules import GateRule
from inplace.engine.preflight.checks import Accepted, Rejected, preflight
from inplace.engine.preflight.new_pods import GateOutlook, cautions, gate_outlook, hang_reason, pods_kept_closed
from inplace.engine.snapshot import Snapshot
from tests.builders import (
    GATE,
    LEASE,
    NEW,
    OLD,
    deployment,
    in_service,
    never_opened,
    next_set,
    observed,
    of_deployment,
    of_pods,
    pod,
    replica_set,
    run,
    template,
)

TARGET = run().target
LIVING = GateOpeners((GateOpener("the controller", Announcement((GateRule(GATE, "serve"),)), 2.0, is_alive=True),))
NOBODY = GateOpeners()
UNREAD = GateOpeners(incomplete_reason="you may not list Leases in all namespaces")
START = "start `inplace gate run -n default` and keep it running, or install the controller"
NO_ONE = f"nobody living opens gate {GATE} in namespace default"


def healthy(openers: GateOpeners | None) -> Snapshot:
    return observed(*(in_service(pod(f"web-{i}")) for i in range(3)), gate_openers=openers)


def rolling(openers: GateOpeners | None) -> Snapshot:
    """A classic rollout to other images of which the new pods could serve."""
    old = [in_service(pod(f"web-{i}")) for i in range(2)]
    new = [in_service(never_opened(f"web-n{i}", images=NEW)) for i in range(2)]
    sets = replica_set(replicas=2), next_set(replicas=2)
    return observed(*old, *new, target=of_deployment(deployment(NEW), *sets), gate_openers=openers)


def told(view: Snapshot, gate: str = GATE) -> dict[str, str]:
    return {caution.reason: caution.message for caution in cautions(view, TARGET, gate)}


def stands(view: Snapshot) -> GateOutlook:
    found = gate_outlook(view, TARGET, GATE)
    assert found is not None
    return found


def test_no_warning_if_an_opener_lives_or_nobody_looked() -> None:
    assert told(healthy(None)) == {}
    assert gate_outlook(healthy(None), TARGET, GATE) is None
    assert told(healthy(LIVING)) == {}
    assert told(healthy(NOBODY), "example.com/not-in-the-template") == {}


def test_a_missing_opener_is_a_warning_of_the_plan() -> None:
    verdict = preflight(healthy(NOBODY), run(), LEASE, resuming=False)
    assert isinstance(verdict, Accepted)
    found = {caution.reason: caution.message for caution in verdict.warnings}
    assert found["NobodyOpensGate"] == f"new pods of deploy/web will stay out of service: {NO_ONE}: {START}"


def test_what_is_unknown_is_said_to_be() -> None:
    (said,) = told(healthy(UNREAD)).values()
    assert said.startswith("new pods of deploy/web may stay out of service: whether somebody living opens gate")
    assert "is unknown (you may not list Leases in all namespaces); if nobody does, start" in said


def test_a_gate_of_others_may_have_an_opener_that_we_do_not_know() -> None:
    gate = "www.example.com/feature-1"
    spec = template(OLD, readinessGates=[{"conditionType": gate}])
    view = observed(target=of_deployment(deployment(template_=spec), replica_set(template_=spec)), gate_openers=NOBODY)
    (said,) = told(view, gate).values()
    assert f"no living opener of gate {gate} in namespace default is known" in said
    assert f"`inplace gate run -n default --condition {gate}`" in said


def test_a_rollout_that_hangs_is_told_from_one_that_goes_on() -> None:
    refused = preflight(rolling(NOBODY), run(), LEASE, resuming=False)
    assert isinstance(refused, Rejected)
    hangs = f"and hangs: 2 pods wait (web-n0, web-n1) for somebody to open gate {GATE}, and nobody living opens it: {START}"
    assert refused.message.endswith(f": a rollout is under way, {hangs}")
    goes = preflight(rolling(LIVING), run(), LEASE, resuming=False)
    assert isinstance(goes, Rejected)
    assert goes.message.endswith(": a rollout is under way; let it end, or undo it")
    assert "is unknown" in hang_reason(rolling(UNREAD), TARGET, GATE)


@pytest.mark.parametrize(
    ("openers", "opener", "message"),
    [
        (LIVING, "Opens", "opened on new pods by the controller; about to be opened: web-n0, web-n1"),
        (
            NOBODY,
            "Nobody",
            (
                "2 pods wait (web-n0, web-n1) for somebody to open it, and nobody living opens it, so that its rollout hangs:"
                f" {START}"
            ),
        ),
    ],
)
def test_status_says_who_waits(openers: GateOpeners, opener: str, message: str) -> None:
    found = stands(rolling(openers))
    assert (found.opener, found.message) == (opener, message)
    assert found.waiting == ("web-n0", "web-n1")


def test_before_a_run_those_who_wait_are_named() -> None:
    assert told(rolling(NOBODY))["PodsWaitForGate"] == f"2 pods wait (web-n0, web-n1) for somebody to open gate {GATE}"
    assert "PodsWaitForGate" not in told(rolling(LIVING))


def test_a_rule_that_keeps_new_pods_closed_is_named() -> None:
    rule = GateRule(GATE, "serve", "closed")
    openers = GateOpeners((GateOpener("the controller", Announcement((rule,)), 2.0, is_alive=True),))
    (said,) = told(healthy(openers)).values()
    assert said.startswith("new pods of deploy/web stay out of service, since they have no label serve=true")
    assert stands(healthy(openers)).opener == "Holds"


def test_bare_pods_are_never_new() -> None:
    serving = observed(in_service(pod(owner=None)), target=of_pods(), gate_openers=NOBODY)
    assert told(serving) == {}
    waits = observed(in_service(never_opened(owner=None)), target=of_pods(), gate_openers=NOBODY)
    assert set(told(waits)) == {"PodsWaitForGate"}


def test_pods_kept_out_of_service_by_others_are_named_with_why() -> None:
    held = pod(
        "web-1", gate="False", ready=False, containers_ready=True, holds='{"label@inplace.dev/ready":"label x is false"}'
    )
    other = pod("web-2", gate="False", ready=False, holds='{"label@other":"not about this gate"}')
    ours = pod("web-3", gate="False", ready=False, record="{}")
    long = pod("web-4", gate="False", ready=False, holds=f'{{"label":"{"x" * 5000}"}}')
    found = pods_kept_closed([in_service(one) for one in (long, ours, other, held, pod("web-5"))], GATE)
    assert found == {
        "label x is false": ("web-1",),
        "somebody had closed it before, and left no note": ("web-2",),
        f"{'x' * 199}…": ("web-4",),
    }
