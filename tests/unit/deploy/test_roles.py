"""The shipped Roles allow what the code asks for, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, get_args

import yaml

from inplace.kube.paging import ListOptions
from inplace.model.constants import DEFAULT_GATE
from inplace.model.refs import TargetKind
from inplace.runtime.gates.access import PERMISSIONS, lease_name, lease_permissions
from inplace.runtime.permissions import Permission, required_permissions

DEPLOY = Path(__file__).parents[3] / "deploy"
KINDS: tuple[TargetKind, ...] = get_args(TargetKind)
ROLLOUTS = ("inplace.dev", "inplacerollouts")
UPGRADE = tuple(right for kind in KINDS for right in required_permissions(kind, "upgrade"))
LOOK = tuple(right for kind in KINDS for right in required_permissions(kind, "look"))


EVENTS = {(verb, "events.k8s.io", "events") for verb in ("create", "patch")}
"""Not worth a refusal: a run goes on without them."""


def granted(file: str) -> set[tuple[str, str, str]]:
    """Verb, group and resource of every rule of the Role in `file`; `leases web` where the rule is about one object."""
    documents: Iterable[Any] = yaml.safe_load_all((DEPLOY / file).read_text())
    rules = [rule for document in documents if document["kind"] == "Role" for rule in document["rules"]]
    whats = [(rule, f"{r} {n}".strip()) for rule in rules for r in rule["resources"] for n in rule.get("resourceNames", [""])]
    return {(v, g, what) for rule, what in whats for v in rule["verbs"] for g in rule["apiGroups"]}


def asked(rights: Iterable[Permission]) -> set[tuple[str, str, str]]:
    return {(right.verb, right.group, right.what) for right in rights}


def rollouts(*verbs: str) -> set[tuple[str, str, str]]:
    return {(verb, *ROLLOUTS) for verb in verbs}


def test_the_role_for_people_is_what_a_run_asks_for() -> None:
    assert granted("cli-role.yaml") == asked(UPGRADE) | EVENTS


def test_the_role_of_the_gate_controller_is_what_it_asks_for() -> None:
    assert granted("gate.yaml") == asked(
        (*PERMISSIONS, *lease_permissions(lease_name(DEFAULT_GATE, ListOptions(namespace="shop"))))
    )


def test_with_a_controller_people_may_also_ask_it() -> None:
    asking = rollouts("get", "list", "watch", "create", "update", "patch", "delete")
    assert granted("base/user-role.yaml") == asked(UPGRADE) | EVENTS | asking


def test_the_viewer_role_may_write_nothing() -> None:
    may = granted("base/viewer-role.yaml")
    assert may == asked(LOOK) | {("get", "", "pods")} | rollouts("get", "list", "watch")
    assert {verb for verb, _, _ in may} == {"get", "list", "watch"}


def test_the_controller_may_upgrade_and_tell_how_rollouts_stand() -> None:
    own = rollouts("get", "list", "watch", "patch", "delete") | {
        ("patch", "inplace.dev", "inplacerollouts/status"),
        ("create", "events.k8s.io", "events"),
        ("patch", "events.k8s.io", "events"),
    }
    assert granted("base/controller-role.yaml") == asked((*UPGRADE, *PERMISSIONS)) | own
