"""An InPlaceRollout of a name that has had its run already."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from inplace.engine.preflight.reapplied import gitops_warning, reapplied_reason
from inplace.engine.runs.rollouts import run_from_rollout
from inplace.model.history import PastRun, to_past_run
from inplace.model.objects.meta import ObjectMeta
from inplace.model.rollout import ContainerImage, InPlaceRollout, RolloutSpec, RolloutTarget, Undo
from tests.builders import NEW, NS, OLD, deployment, observed, of_deployment, replica_set

AT = "2026-01-01T00:00:00Z"
OTHER = {"app": "repo/app:3"}


def rollout(name: str = "web-2", ttl: int | None = 5, **meta: Any) -> InPlaceRollout:
    images = tuple(ContainerImage(container, image) for container, image in NEW.items())
    spec = RolloutSpec(target=RolloutTarget(kind="Deployment", name="web"), images=images, ttl_seconds_after_finished=ttl)
    return InPlaceRollout(metadata=ObjectMeta(name=name, namespace=NS, uid="u", **meta), spec=spec)


def past(**fields: Any) -> PastRun:
    return PastRun(**{"id": "a", "images": NEW, "ended_at": AT, "outcome": "Succeeded", "expiring_rollout": "web-2", **fields})


UNDONE = past(id="b", operation="Undo", images=OLD, created_by="alice", expiring_rollout="")
REPLACED = past(id="b", images=OTHER, created_by="", expiring_rollout="web-3")


def why(*history: PastRun, again: InPlaceRollout | None = None, template: dict[str, str] = OLD) -> str:
    found = again or rollout()
    return reapplied_reason(
        found, run_from_rollout(found), history, observed(target=of_deployment(deployment(template), replica_set()))
    )


def test_a_run_remembers_the_expiring_object_it_was_begun_for() -> None:
    assert to_past_run(run_from_rollout(rollout()), ()).expiring_rollout == "web-2"
    assert to_past_run(run_from_rollout(rollout(ttl=None)), ()).expiring_rollout == ""


@pytest.mark.parametrize(
    ("history", "told"),
    [
        ((past(), UNDONE), f"and was undone at {AT} by alice"),
        ((past(), REPLACED), f"and was replaced by other images at {AT} by somebody"),
        ((past(),), "and somebody has rolled out other images since"),
        ((past(outcome="Aborted"),), f"and was aborted at {AT}"),
        ((past(outcome="Failed"), past(id="c"), UNDONE), "was undone"),
    ],
)
def test_is_not_begun_again(history: tuple[PastRun, ...], told: str) -> None:
    assert told in why(*history)
    assert "make another object" in why(*history)


@pytest.mark.parametrize(
    "history",
    [
        (),
        (UNDONE,),
        (past(expiring_rollout=""), UNDONE),
        (past(images=OTHER), UNDONE),
        (past(outcome="Failed"),),
        (past(outcome="RolledBack"),),
    ],
    ids=["no history", "of others", "of one that does not expire", "of other images", "failed", "rolled back"],
)
def test_is_begun(history: tuple[PastRun, ...]) -> None:
    assert why(*history) == ""


def test_a_run_begins_unless_undone_or_for_the_same_object() -> None:
    assert why(past(), template=NEW) == ""
    assert why(past(), UNDONE, again=rollout("web-2b")) == ""


def test_an_undo_is_not_undone_by_itself() -> None:
    asked = rollout("back")
    back = msgspec.structs.replace(asked, spec=msgspec.structs.replace(asked.spec, images=(), undo=Undo()))
    before = past(operation="Undo", images=OLD, expiring_rollout="back")
    assert "a second undo would go forward again" in why(before, again=back)
    assert why(past(expiring_rollout="back"), again=back) == ""


def test_an_expiring_rollout_kept_in_git_is_warned_of() -> None:
    by_flux: dict[str, Any] = {"labels": {"kustomize.toolkit.fluxcd.io/name": "apps"}}
    by_argo: dict[str, Any] = {"annotations": {"argocd.argoproj.io/tracking-id": "x"}}
    assert gitops_warning(rollout(**by_flux)).startswith("Flux applies it again after each ttlSecondsAfterFinished")
    assert gitops_warning(rollout(**by_argo)).startswith("Argo CD applies it again")
    assert gitops_warning(rollout(ttl=None, **by_flux)) == ""
    assert gitops_warning(rollout(labels={"app.kubernetes.io/instance": "web"})) == ""
