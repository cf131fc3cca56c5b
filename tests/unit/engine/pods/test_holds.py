"""One gate, several reasons: whoever removes the last hold of *this* gate opens it."""

from inplace.engine.actions import OpenGate, RemoveRecord
from inplace.engine.pods.stages import assess_pod
from inplace.model.objects.pods import Pod
from inplace.model.record import holds_for_gate
from tests.builders import GATE, NEW, in_service, patched, pod, rules, status


def upgraded(holds: str) -> Pod:
    """Restarted and proven, still closed by us."""
    shown = [status("app", "c2", NEW["app"], "sha-2")]
    return pod(images=NEW, ready=False, gate="False", record=patched(), generation=2, statuses=shown, holds=holds)


def test_a_hold_is_for_the_gate_that_it_names_or_for_all() -> None:
    holds = {"label@a.example/one": "x", "label@b.example/two": "y", "operator": "z"}
    assert holds_for_gate(holds, "a.example/one") == {"label@a.example/one": "x", "operator": "z"}


def test_the_gate_opens_though_another_gate_of_the_pod_is_held() -> None:
    judged = assess_pod(in_service(upgraded('{"label@www.example.com/feature-1":"label"}')), rules(), None, 100.0)
    assert isinstance(judged.action, OpenGate)


def test_the_gate_stays_closed_while_it_is_held_itself() -> None:
    judged = assess_pod(in_service(upgraded(f'{{"label@{GATE}":"label"}}')), rules(), None, 100.0)
    assert not isinstance(judged.action, OpenGate)
    assert judged.action is None or isinstance(judged.action, RemoveRecord)
