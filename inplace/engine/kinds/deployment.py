"""A Deployment: its ReplicaSet and pods keep their identity, and its templates change last (`workloads.template_last`).

The one active ReplicaSet stays the live one from the first pod to the end. Pods recreated during the run start with the old
images and are upgraded in turn. The commit pauses the Deployment, patches both templates, keeps the old one in the history as
a ReplicaSet of 0 replicas, and restores `paused` as its owner had it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from inplace.engine.actions import CreateHistoryReplicaSet, PatchTemplate, SetPaused
from inplace.engine.snapshot import DeploymentTarget, ObservedPod, Snapshot
from inplace.engine.timers import Timers
from inplace.engine.workloads import uncommit
from inplace.engine.workloads.identity import identified, rolled_out_since
from inplace.engine.workloads.partitions import DEFAULT_MAX_UNAVAILABLE
from inplace.engine.workloads.revisions import Lineage, Revision, revision_of
from inplace.engine.workloads.sequence import Blocked, Done, NextStep, Perform, Prepared, Write
from inplace.engine.workloads.template_changes import foreign_template_images
from inplace.engine.workloads.template_last import GONE, next_for_deployment, preconditions, restore_paused
from inplace.engine.workloads.templates import differences, has_images, history_replica_set, images_of, init_names_of
from inplace.engine.workloads.wording import NOBODY_REPLACES
from inplace.model.objects.pods import Pod
from inplace.model.objects.workloads import Deployment, ReplicaSet
from inplace.model.run import CommitState, Run


class DeploymentKind:
    """`WorkloadStrategy` of a Deployment. As long as that Protocol, since it is the whole page of its kind."""

    has_controller = True
    has_history = True

    def __init__(self, snapshot: Snapshot) -> None:
        assert isinstance(snapshot.target, DeploymentTarget)
        self._snapshot, self._target = snapshot, snapshot.target
        self._deployment = snapshot.target.deployment

    def desired_replicas(self) -> int:
        return self._deployment.spec.replicas if self._deployment is not None else len(self._snapshot.pods)

    def blocked_replicas(self) -> int:
        return 0

    def pods_kept_back(self, run: Run) -> frozenset[str]:
        return frozenset()

    def own_max_unavailable(self, run: Run) -> int | str:
        own = _max_unavailable(self._deployment)
        return DEFAULT_MAX_UNAVAILABLE if own is None else own

    def has_own_max_unavailable(self) -> bool:
        return _max_unavailable(self._deployment) is not None

    def ordinal(self, facts: ObservedPod) -> int | None:
        return None

    def prepare(self, run: Run) -> NextStep:
        return Prepared(run.revision)

    def follow(self, run: Run) -> None:
        return None

    def begin_commit(self, run: Run) -> CommitState | None:
        """None also for a run that goes back: it has not touched the templates, and what their owner changed in them stays."""
        deployment, live = self._deployment, active_replica_set(self._target)
        if run.rolling_back or deployment is None or live is None:
            return None
        if has_images(deployment.spec.template, run.images) and has_images(live.spec.template, run.images):
            return None
        have = images_of(deployment.spec.template)
        template = {name: have[name] for name in run.images if name in have}
        return CommitState(paused=run.paused, live_uid=live.metadata.uid, revision=live.revision, template=template)

    def commit(self, run: Run, listed_fresh: Mapping[str, bool]) -> NextStep:
        if run.commit is None:
            return Done()
        if self._deployment is None:
            return GONE
        return next_for_deployment(self._snapshot, self._deployment, self._target.replica_sets, run, run.commit, listed_fresh)

    def may_uncommit(self, run: Run) -> bool:
        return uncommit.deployment_may_uncommit(self._target, run)

    def uncommit(self, run: Run, commit: CommitState) -> NextStep:
        return uncommit.uncommit_deployment(self._snapshot, self._target, run, commit)

    def withdraw(self, run: Run) -> Perform | None:
        """`paused`, where the controller follows the templates already, so that nothing needs to be held back."""
        return None if self.may_uncommit(run) else restore_paused(self._deployment, run)

    def pod_revision(self, run: Run) -> None:
        return None

    def identify(self, run: Run) -> Run:
        return identified(run, self._deployment, active_replica_set(self._target))

    def external_change(self, run: Run, timers: Timers) -> Blocked | None:
        """Foreign images, an edited template, another active ReplicaSet, or another `paused`."""
        deployment = self._deployment
        if deployment is None:
            return None
        name, template = f"deploy/{deployment.metadata.name}", deployment.spec.template
        foreign = foreign_template_images(template, run, name)
        if foreign is not None:
            return foreign
        live = self._live(run)
        with_pods = [rs for rs in self._target.replica_sets if rs is live or rs.is_active]
        changed = sorted({path for rs in with_pods for path in differences(template, rs.spec.template)})
        if changed:
            return Blocked(f"the template of {name} was edited in the middle ({', '.join(changed[:5])})")
        rolled_out = rolled_out_since(live, run) if live is not None else ""
        if rolled_out:
            return Blocked(rolled_out)
        others = [rs.metadata.name for rs in with_pods if rs is not live]
        if others or live is None:
            return Blocked(f"{name} has other active ReplicaSets ({', '.join(others)}): somebody started a rollout")
        if run.commit is None and deployment.spec.paused != run.paused:
            return Blocked(f"{name} was {'paused' if deployment.spec.paused else 'unpaused'} in the middle")
        return None

    def _live(self, run: Run) -> ReplicaSet | None:
        """The ReplicaSet that has the pods: from the commit on, the one that had them when it began."""
        if run.commit is None:
            return active_replica_set(self._target)
        return next((rs for rs in self._target.replica_sets if rs.metadata.uid == run.commit.live_uid), None)

    def yield_to_owner(self, run: Run) -> Perform | None:
        return restore_paused(self._deployment, run)

    def owner_settings(self, run: Run) -> Run:
        """During a commit `paused` is the run's own."""
        if self._deployment is None or run.commit is not None:
            return run
        return msgspec.structs.replace(run, paused=self._deployment.spec.paused)

    def is_paused(self) -> bool:
        return self._deployment is not None and self._deployment.spec.paused

    def is_left_paused(self, run: Run) -> bool:
        return self.is_paused() and run.commit is not None and not run.commit.paused

    def templates(self) -> Iterator[Mapping[str, Any]]:
        yield from (rs.spec.template for rs in self._target.replica_sets)
        if self._deployment is not None:
            yield self._deployment.spec.template

    def believed_commit(self, run: Run, is_vouched: bool) -> Run:
        """Only on the ReplicaSet that has the pods. An old template that only the run knows goes into the history where the run
        may have replaced it, which it does while the Deployment is paused."""
        if run.commit is None:
            return run
        live = active_replica_set(self._target)
        if live is None or live.metadata.uid != run.commit.live_uid:
            return msgspec.structs.replace(run, commit=None)
        if not is_vouched and not self.is_paused():
            return msgspec.structs.replace(run, from_images=run.images)
        return run

    def problem(self, run: Run, hang: str, resuming: bool) -> str | None:
        """More than one template: there would be no single set of images to go back to."""
        if resuming:
            return None
        active = [rs.metadata.name for rs in self._target.replica_sets if rs.is_active]
        if len(active) > 1:
            progress = f", and {hang}" if hang else "; let it end, or undo it"
            return f"{run.target} has {len(active)} active ReplicaSets ({', '.join(active)}): a rollout is under way{progress}"
        live = active_replica_set(self._target)
        if live is None or self._deployment is None:
            return f"{run.target} has no ReplicaSet yet: wait until its controller has made one"
        changed = differences(self._deployment.spec.template, live.spec.template)
        if changed:
            return (
                f"the template of {run.target} differs from its pods' ReplicaSet in more than images"
                f" ({', '.join(changed[:5])}): roll that out first (kubectl rollout resume), then upgrade images in place"
            )
        return None

    def revision_problem(self, run: Run, hang: str) -> None:
        return None

    def pod_problem(self, facts: ObservedPod) -> None:
        return None

    def current_images(self, run: Run) -> dict[str, str]:
        found = active_replica_set(self._target) or self._deployment
        return images_of(found.spec.template) if found is not None else {}

    def newest_revision_label(self) -> str:
        return ""

    def writes(self, run: Run) -> Iterator[Write]:
        deployment, live = self._deployment, active_replica_set(self._target)
        if deployment is None:
            return
        yield Write(f"pause {run.target}", SetPaused(*preconditions(deployment), paused=True), deployment)
        if live is None:
            return
        patch = PatchTemplate(*preconditions(live), "ReplicaSet", run.images, init_names_of(live.spec.template))
        yield Write(f"change the template of rs/{live.metadata.name}", patch, live)
        manifest = history_replica_set(deployment, live, run.from_images)
        keeping = CreateHistoryReplicaSet(manifest["metadata"]["name"], manifest)
        yield Write(f"keep the old template as a ReplicaSet of {run.target}", keeping)

    def describe_midrun(self, run: Run) -> tuple[str, ...]:
        if self._deployment is None:
            return ()
        is_paused = self._deployment.spec.paused
        if run.commit is not None:
            paused = "paused by the run while its templates change; " if is_paused and not run.commit.paused else ""
            return (f"{paused}its commit has begun and is not finished: finish it with `inplace resume` or `inplace repair`",)
        lines = ["paused by its owner, and stays paused"] if is_paused else []
        before = " ".join(f"{name}={image}" for name, image in sorted(run.from_images.items()))
        recreated = "so a pod recreated now starts with that"
        return (*lines, f"its template still says {before} (it is changed last), {recreated}; {NOBODY_REPLACES}")

    def describe_hold(self, run: Run) -> str:
        return ""

    def is_rolling_out(self) -> bool:
        return sum(rs.is_active for rs in self._target.replica_sets) > 1

    def revisions(self) -> list[Revision]:
        return [revision_of(rs.revision, rs.spec.template, rs.metadata) for rs in self._target.replica_sets]

    def lineage(self, pod: Pod) -> Lineage:
        controller = pod.metadata.controller()
        if controller is None:
            return Lineage()
        number = next((rs.revision for rs in self._target.replica_sets if rs.metadata.uid == controller.uid), 0)
        return Lineage(f"rs/{controller.name}", number)

    @staticmethod
    def infer_owner_strategy(strategy: Mapping[str, Any], is_of_our_writing: bool) -> None:
        return None


def active_replica_set(target: DeploymentTarget) -> ReplicaSet | None:
    """The one ReplicaSet that has pods; at 0 replicas, the newest. None where several have."""
    active = [rs for rs in target.replica_sets if rs.is_active]
    if active:
        return active[0] if len(active) == 1 else None
    return max(target.replica_sets, key=lambda rs: rs.revision, default=None)


def _max_unavailable(deployment: Deployment | None) -> int | str | None:
    rolling = deployment.spec.strategy.rolling_update if deployment is not None else None
    return rolling.max_unavailable if rolling is not None else None
