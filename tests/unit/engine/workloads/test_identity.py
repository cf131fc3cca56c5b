"""Whether a target is still what its run was begun on."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from inplace.engine.kinds.external_changes import detect_external_change, marked, yield_to_owner
from inplace.engine.snapshot import Snapshot
from inplace.engine.timers import Timers
from inplace.model.refs import TargetRef
from inplace.model.run import CommitState, Run
from tests.builders import (
    DEPLOYMENT_UID,
    LIVE_UID,
    NEW,
    NS,
    OLD,
    daemon_set,
    deployment,
    facts,
    observed,
    of_deployment,
    of_pods,
    of_replica_set,
    of_revision,
    partition,
    pod,
    record,
    replica_set,
    revision,
    run,
    stateful_set,
    template,
)

BEGUN = observed(target=of_deployment(deployment(), replica_set()))
YOUNG = replica_set(NEW, name="web-9", uid="uid-9", revision=2)
ROLLING = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1}}
EDITED = template(NEW, terminationGracePeriodSeconds=7)


def said(asked: Run, seen: Snapshot) -> str:
    broken = detect_external_change(seen, asked, Timers({}, 0.0))
    return broken.reason if broken is not None else ""


def after(*sets: Any, **fields: Any) -> Snapshot:
    return observed(target=of_deployment(deployment(**fields), *sets))


class TestDeployment:
    RUN = marked(run(target_uid=""), BEGUN)

    def test_a_run_keeps_what_it_knows_its_target_by(self) -> None:
        assert (self.RUN.target_uid, self.RUN.live_uid, self.RUN.live_revision) == (DEPLOYMENT_UID, LIVE_UID, 1)
        assert said(self.RUN, BEGUN) == ""

    def test_the_same_images_rolled_out_by_somebody_else(self) -> None:
        found = said(self.RUN, after(YOUNG, replica_set(replicas=0), images=NEW))
        assert found == "somebody rolled out app=repo/app:2 since the run was begun (ReplicaSet web-9, revision 2)"

    def test_rolled_out_and_back_again(self) -> None:
        """The same ReplicaSet has pods again, but they are others."""
        assert "(ReplicaSet web-1, revision 3)" in said(self.RUN, after(replica_set(revision=3)))

    def test_its_own_commit_raises_the_revision(self) -> None:
        committing = msgspec.structs.replace(self.RUN, commit=CommitState(live_uid=LIVE_UID, revision=1))
        assert said(committing, after(replica_set(NEW, revision=2), images=NEW)) == ""

    def test_stored_by_an_older_version(self) -> None:
        assert said(run(), after(YOUNG, replica_set(replicas=0), images=NEW)) == ""


class TestAnotherObject:
    def test_is_told_and_nothing_of_it_is_given_back(self) -> None:
        old = run(target_uid="uid-of-before", commit=CommitState(paused=True, live_uid=LIVE_UID))
        assert said(old, BEGUN) == "deploy/web was deleted and created again since the run was begun"
        assert yield_to_owner(BEGUN, old) is None
        target = TargetRef(kind="StatefulSet", namespace=NS, name="web")
        strategy = partition(0)
        of_old = run(target=target, target_uid="uid-of-before", saved_strategy=strategy)
        seen = observed(target=stateful_set(strategy=partition(2)))
        assert said(of_old, seen) == "sts/web was deleted and created again since the run was begun"
        assert yield_to_owner(seen, of_old) is None

    def test_a_bare_pod_that_never_ran_what_the_run_would_go_back_to(self) -> None:
        target = TargetRef(kind="Pods", namespace=NS, pod_names=("web-a",))
        asked = run(target=target, target_uid="")
        other = {"app": "repo/app:9"}
        assert said(asked, observed(facts(pod()), facts(pod("web-b", images=NEW)), target=of_pods())) == ""
        assert said(asked, observed(facts(pod(images=other)), target=of_pods())).startswith(
            "somebody set container app of pod/web-a"
        )
        assert said(asked, observed(facts(pod(images=other, record=record())), target=of_pods())) == ""
        assert said(asked, observed(facts(pod(images=other, deleting=True)), target=of_pods())) == ""


class TestEdited:
    """Even where every pod carries the edited revision, so that pods and template agree."""

    @pytest.mark.parametrize("kind", ["StatefulSet", "DaemonSet", "ReplicaSet"])
    def test_more_than_images(self, kind: Any) -> None:
        def seen(edited: dict[str, Any] | None, images: dict[str, str] = OLD) -> Snapshot:
            made = revision(1, images, template_=edited)
            match kind:
                case "StatefulSet":
                    target: Any = stateful_set(images, made, update="web-1", strategy=partition(0), template_=edited)
                    return observed(of_revision("web-0", "web-1", images), target=target)
                case "DaemonSet":
                    target = daemon_set(images, made, strategy=ROLLING, template_=edited)
                    return observed(of_revision("web-a", "1", images), target=target)
                case _:
                    return observed(target=of_replica_set(replica_set(images, template_=edited)))

        strategy = {"StatefulSet": partition(0), "DaemonSet": ROLLING}.get(kind)
        asked = marked(run(target=TargetRef(kind=kind, namespace=NS, name="web"), saved_strategy=strategy), seen(None))
        assert said(asked, seen(None)) == ""
        assert said(asked, seen(None, NEW)) == ""
        assert (
            said(asked, seen(EDITED, NEW))
            == f"the template of {asked.target} was edited, in more than images, since the run was begun"
        )
        assert said(msgspec.structs.replace(asked, template=""), seen(EDITED, NEW)) == ""
