"""Which writes are rehearsed, and what an answer teaches."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from inplace.engine.actions import (
    CloseGate,
    CreateHistoryReplicaSet,
    OpenGate,
    PatchImages,
    PatchTemplate,
    SetPaused,
    SetUpdateStrategy,
)
from inplace.engine.preflight.rehearsal import RefusedWrite, Rehearsal, adopt, learn, unexpected_images, writes
from inplace.engine.workloads.sequence import Write
from inplace.engine.workloads.templates import with_images
from inplace.model.run import Run
from tests.builders import (
    GATE,
    NEW,
    OLD,
    deployment,
    in_service,
    observed,
    of_deployment,
    pod,
    replica_set,
    run,
)

PINNED = "repo/app:2@sha256:" + "a" * 64
BEGUN = run()
TARGET = of_deployment(deployment(replicas=3), replica_set(replicas=3))


def asked(*pods: Any, begun: Run = BEGUN) -> list[Write]:
    return list(writes(observed(*map(in_service, pods), target=TARGET), begun))


def one(kind: type, begun: Run = BEGUN) -> Write:
    return next(write for write in asked(pod("a"), begun=begun) if isinstance(write.action, kind))


def answered(write: Write, **images: str) -> Any:
    """The object as it would be stored, with these images."""
    before = write.before
    assert before is not None
    if isinstance(write.action, PatchTemplate | SetPaused | SetUpdateStrategy):
        spec = msgspec.structs.replace(before.spec, template=with_images(before.spec.template, images))  # type: ignore[union-attr]
        return msgspec.structs.replace(before, spec=spec)
    return pod("a", images=images)


class TestWrites:
    def test_each_kind_once_the_template_of_the_target_first(self) -> None:
        kinds = [type(write.action) for write in asked(pod("a"), pod("b"))]
        assert kinds == [PatchTemplate, CloseGate, PatchImages, OpenGate, SetPaused, PatchTemplate, CreateHistoryReplicaSet]

    def test_one_pod_of_each_shape(self) -> None:
        mirrored = pod("c", images={"app": "mirror/repo/app:1"})
        found = [w.action.pod.name for w in asked(pod("a"), pod("b"), mirrored) if isinstance(w.action, PatchImages)]
        assert found == ["a", "c"]

    def test_nothing_of_pods_that_are_there(self) -> None:
        kinds = [type(write.action) for write in asked(pod("a", images=NEW))]
        assert kinds == [PatchTemplate, SetPaused, PatchTemplate, CreateHistoryReplicaSet]


class TestLearn:
    def test_what_was_asked_for_teaches_nothing(self) -> None:
        write = one(PatchTemplate)
        assert learn(BEGUN, write, answered(write, **NEW)) == BEGUN

    def test_another_name_of_the_image_is_what_the_run_is_for(self) -> None:
        write = one(PatchTemplate)
        learned = learn(BEGUN, write, answered(write, app=PINNED))
        assert learned == run(images={"app": PINNED}, images_before_admission=NEW)
        again = one(PatchTemplate, learned)
        assert learn(learned, again, answered(again, app=PINNED)) == learned

    def test_on_pods_alone(self) -> None:
        write = one(PatchImages)
        learned = learn(BEGUN, write, answered(write, app="mirror/repo/app:2"))
        assert learned == run(pod_images={"app": "mirror/repo/app:2"})

    @pytest.mark.parametrize("kind", [PatchTemplate, PatchImages])
    def test_another_image_is_none(self, kind: type) -> None:
        write = one(kind)
        refused = learn(BEGUN, write, answered(write, app="repo/app:3"))
        assert isinstance(refused, RefusedWrite)
        assert refused.why == "ImageChangedByAdmission: admission makes repo/app:3 of repo/app:2 (container app)"
        told = Rehearsal(BEGUN, (refused,)).problem
        assert told == f"the API server refuses (server dry run) to {write.what}: {refused.why}"

    def test_templates_that_would_differ_are_none_either(self) -> None:
        """The Deployment controller would make a new ReplicaSet, and new pods."""
        write = [w for w in asked(pod("a")) if isinstance(w.action, PatchTemplate)][1]
        refused = learn(BEGUN, write, answered(write, app=PINNED))
        assert isinstance(refused, RefusedWrite)
        assert refused.why.endswith(f"admission makes {PINNED} of repo/app:2 there, and not in deploy/web")

    def test_a_template_with_more_changes_is_not_learnt(self) -> None:
        write = one(PatchTemplate)
        answer = answered(write, **NEW)
        template = {**answer.spec.template, "metadata": {"labels": {"injected": "yes"}}}
        more = msgspec.structs.replace(answer, spec=msgspec.structs.replace(answer.spec, template=template))
        refused = learn(BEGUN, write, more)
        assert isinstance(refused, RefusedWrite)
        assert "metadata.labels" in refused.why

    def test_pausing_must_not_change_the_template(self) -> None:
        write = one(SetPaused)
        assert learn(BEGUN, write, answered(write, **OLD)) == BEGUN
        assert isinstance(learn(BEGUN, write, answered(write, app="repo/app:9")), RefusedWrite)

    def test_a_gate_that_stays_as_it_is(self) -> None:
        write = one(CloseGate)
        assert learn(BEGUN, write, pod("a", gate="False", ready=False)) == BEGUN
        refused = learn(BEGUN, write, pod("a", gate="True"))
        assert isinstance(refused, RefusedWrite)
        assert refused.why == f"its condition {GATE} would be True, not False"


def test_surprises_name_both_images() -> None:
    assert unexpected_images(NEW, OLD, {"app": PINNED}) == ""
    assert unexpected_images(NEW, {**OLD, "side": "s:1"}, {**NEW, "side": "s:1@sha256:x"}).endswith(
        "s:1@sha256:x of s:1 (container side)"
    )
    assert (
        unexpected_images(NEW, OLD, {**NEW, "proxy": "p:1"}) == "ImageChangedByAdmission: admission adds container proxy (p:1)"
    )


def test_what_admission_begins_to_do_in_the_middle_is_taken_once() -> None:
    taken = adopt(BEGUN, {"app": PINNED})
    assert taken == run(images={"app": PINNED}, images_before_admission=NEW)
    assert adopt(BEGUN, {"app": "repo/app:3"}) is None
    assert adopt(taken, {"app": "mirror/" + PINNED}) is None
