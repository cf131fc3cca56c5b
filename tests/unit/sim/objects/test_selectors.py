"""Selectors pick what Kubernetes' own would."""

import pytest

from inplace.sim.objects.errors import StatusError
from inplace.sim.objects.kinds import LEASES, PODS
from inplace.sim.objects.selectors import field_test, label_test, selector_test, selector_text

LABELS = {"app": "web", "tier": "front"}


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("", True),
        ("app=web", True),
        ("app==web,tier=front", True),
        ("app!=web", False),
        ("other!=x", True),
        ("app", True),
        ("!app", False),
        ("app in (web, api)", True),
        ("app notin (web)", False),
        ("other notin (x),tier in (front,back)", True),
    ],
)
def test_label_selectors(text: str, *, matches: bool) -> None:
    assert label_test(text)(LABELS) is matches


def test_a_label_selector_that_cannot_be_read_is_refused() -> None:
    with pytest.raises(StatusError, match="unable to parse requirement"):
        label_test("a in b")


def test_selector_objects_and_their_text() -> None:
    selector = {
        "matchLabels": {"app": "web"},
        "matchExpressions": [{"key": "tier", "operator": "In", "values": ["front", "back"]}],
    }
    assert selector_test(selector)(LABELS)
    assert not selector_test(selector)({"app": "web", "tier": "x"})
    assert selector_test({})(LABELS)
    assert selector_text(selector) == "app=web,tier in (back,front)"


def test_field_selectors_of_pods() -> None:
    pod = {"metadata": {"name": "a", "namespace": "n"}, "spec": {"nodeName": "node1"}, "status": {"phase": "Running"}}
    assert field_test(PODS, "metadata.name=a,status.phase!=Failed,spec.nodeName=node1")(pod)
    assert not field_test(PODS, "status.phase=Pending")(pod)


def test_unknown_fields_are_refused_in_the_servers_own_words() -> None:
    with pytest.raises(StatusError, match=r"field label not supported: spec\.foo"):
        field_test(PODS, "spec.foo=b")
    with pytest.raises(
        StatusError, match=r'"spec\.x" is not a known field selector: only "metadata\.name", "metadata\.namespace"'
    ):
        field_test(LEASES, "spec.x=a")
