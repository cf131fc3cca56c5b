"""Deployments: rolling updates, recreation, pauses and history, in the steps of the real controller.

What our product relies on, and so holds here too (design, section 5): while paused nothing is created or rolled, but
scaling, status and history clean-up go on; of several ReplicaSets with the template the oldest is the new one; the new one
always gets the highest revision, and remembers those it had.
"""

from __future__ import annotations

from inplace.sim.api.registry import SELF_STATUS, Registry
from inplace.sim.controllers.base import Queue, Record, controller_of, on_events, owner_reference
from inplace.sim.controllers.pods import facts_of
from inplace.sim.controllers.workloads import rollout as r
from inplace.sim.controllers.workloads.rollingupdate import RollingUpdate
from inplace.sim.controllers.workloads.scaling import Scaling
from inplace.sim.objects.errors import Json, StatusError
from inplace.sim.objects.kinds import DEPLOYMENTS, PODS, REPLICA_SETS
from inplace.sim.objects.selectors import selector_test
from inplace.sim.objects.store import Key, StoredObject, StoreEvent


class Deployments:
    """The Deployment controller. As long as the real one's sync, which it follows step by step."""

    def __init__(self, registry: Registry, record: Record) -> None:
        self._registry = registry
        self._queue = Queue(registry, self._sync)
        self._scaling = Scaling(registry, record)
        self._rolling = RollingUpdate(self._scaling)
        self._record = record
        on_events(registry, (DEPLOYMENTS,), self._own_changed)
        on_events(registry, (REPLICA_SETS,), self._replica_set_changed)
        on_events(registry, (PODS,), self._pod_changed)

    def _own_changed(self, event: StoreEvent) -> None:
        if event.new is not None:
            self._queue.add(event.new.key)

    def _replica_set_changed(self, event: StoreEvent) -> None:
        owner = controller_of(event.item.obj)
        if owner is not None and owner["kind"] == "Deployment":
            self._queue.add((event.item.namespace, owner["name"]))
        elif owner is None and event.new is not None:
            for deployment in self._registry.store.all(DEPLOYMENTS, event.item.namespace):
                self._queue.add(deployment.key)

    def _pod_changed(self, event: StoreEvent) -> None:
        """Recreate waits for the last old pod to go."""
        if event.new is not None:
            return
        for deployment in self._registry.store.all(DEPLOYMENTS, event.item.namespace):
            if not r.is_rolling(deployment):
                self._queue.add(deployment.key)

    def _sync(self, key: Key) -> None:
        deployment = self._registry.store.get(DEPLOYMENTS, *key)
        if deployment is None:
            return
        sets = self._claimed(deployment)
        if "deletionTimestamp" in deployment.meta:
            self._write_status(deployment, sets, self._find_new(deployment, sets))
            return
        deployment = self._note_pause(deployment)
        if deployment.obj["spec"].get("paused") or self._is_scaling(deployment, sets):
            self._only_scale(deployment, sets)
        elif r.is_rolling(deployment):
            self._roll(deployment, sets)
        else:
            self._recreate(deployment, sets)

    def _claimed(self, deployment: StoredObject) -> list[StoredObject]:
        matches = selector_test(deployment.obj["spec"]["selector"])
        mine = []
        for item in r.oldest_first(self._registry.store.all(REPLICA_SETS, deployment.namespace)):
            owner = controller_of(item.obj)
            if owner is not None and owner["uid"] == deployment.uid:
                mine.append(item)
            elif owner is None and matches(item.meta.get("labels") or {}) and "deletionTimestamp" not in item.meta:
                adopted = self._registry.change(item, lambda obj: _adopted(obj, owner_reference(deployment)))
                mine += [adopted] if adopted else []
        return mine

    def _note_pause(self, deployment: StoredObject) -> StoredObject:
        spec, progressing = deployment.obj["spec"], r.condition(deployment.obj, "Progressing")
        if spec.get("progressDeadlineSeconds") is None or (progressing or {}).get("reason") == "ProgressDeadlineExceeded":
            return deployment
        is_noted = (progressing or {}).get("reason") == "DeploymentPaused"
        if bool(spec.get("paused")) == is_noted:
            return deployment
        words = ("DeploymentResumed", "Deployment is resumed") if is_noted else ("DeploymentPaused", "Deployment is paused")
        return self._with_condition(deployment, "Unknown", *words)

    def _with_condition(self, deployment: StoredObject, status: str, reason: str, message: str) -> StoredObject:
        made = r.made_condition("Progressing", status, reason, message, self._registry.scheduler.stamp())
        conditions = r.with_condition(list((deployment.obj.get("status") or {}).get("conditions") or ()), made)
        return self._set_status(deployment, {**(deployment.obj.get("status") or {}), "conditions": conditions})

    def _set_status(self, deployment: StoredObject, status: Json, revision: str | None = None) -> StoredObject:
        def change(obj: Json) -> Json:
            meta = obj["metadata"]
            if revision is not None:
                meta = {**meta, "annotations": {**(meta.get("annotations") or {}), r.REVISION: revision}}
            return {**obj, "metadata": meta, "status": status}

        return self._registry.change(deployment, change, SELF_STATUS) or deployment

    def _find_new(self, deployment: StoredObject, sets: list[StoredObject]) -> StoredObject | None:
        """The oldest with the template: an older twin is taken for the new one."""
        template = deployment.obj["spec"]["template"]
        return next((item for item in sets if r.same_template(item.obj["spec"]["template"], template)), None)

    def _is_scaling(self, deployment: StoredObject, sets: list[StoredObject]) -> bool:
        wanted = str(r.replicas_of(deployment))
        return any(r.notes_of(item).get(r.DESIRED, wanted) != wanted for item in r.active(sets))

    def _only_scale(self, deployment: StoredObject, sets: list[StoredObject]) -> None:
        deployment, new, old = self._revised(deployment, sets, create=False)
        new, old = self._scaling.scale(deployment, new, old)
        if deployment.obj["spec"].get("paused"):
            old = self._clean_up(deployment, old)
        everything = [*old, *([new] if new else [])]
        status = r.calculated(deployment, everything, new, self._registry.scheduler.stamp())
        if status != deployment.obj.get("status"):
            self._set_status(deployment, status)

    def _roll(self, deployment: StoredObject, sets: list[StoredObject]) -> None:
        deployment, new, old = self._revised(deployment, sets, create=True)
        assert new is not None
        changed, new, old = self._rolling.step(deployment, new, old)
        if not changed and r.is_complete(deployment, self._calculated(deployment, new, old)):
            old = self._clean_up(deployment, old)
        self._write_rollout_status(deployment, new, old)

    def _recreate(self, deployment: StoredObject, sets: list[StoredObject]) -> None:
        deployment, new, old = self._revised(deployment, sets, create=False)
        if r.active(old):
            old = [self._scaling.resize(deployment, item, 0) for item in old]
            self._write_rollout_status(deployment, new, old)
            return
        if any(self._has_pods(item) for item in old):
            self._write_rollout_status(deployment, new, old)
            return
        if new is None:
            deployment, new, old = self._revised(deployment, sets, create=True)
        assert new is not None
        new = self._scaling.resize(deployment, new, r.replicas_of(deployment))
        if r.is_complete(deployment, self._calculated(deployment, new, old)):
            old = self._clean_up(deployment, old)
        self._write_rollout_status(deployment, new, old)

    def _has_pods(self, item: StoredObject) -> bool:
        pods = (pod for pod in self._registry.store.owned_by(item.uid) if pod.kind is PODS)
        return any(facts_of(pod).phase not in ("Succeeded", "Failed") for pod in pods)

    def _revised(
        self, deployment: StoredObject, sets: list[StoredObject], *, create: bool
    ) -> tuple[StoredObject, StoredObject | None, list[StoredObject]]:
        """The new ReplicaSet, with the highest revision and the Deployment's annotations, and the others."""
        new = self._find_new(deployment, sets)
        old = [item for item in sets if item is not new]
        revision = max((r.revision_of(item) for item in old), default=0) + 1
        if new is None:
            if not create:
                return deployment, None, old
            deployment, new = self._create(deployment, old, revision)
            return deployment, new, old
        min_ready = deployment.obj["spec"].get("minReadySeconds", 0)
        new = self._registry.change(new, lambda obj: _annotated(obj, deployment, revision, min_ready)) or new
        current = str(r.notes_of(new).get(r.REVISION, ""))
        status = deployment.obj.get("status") or {}
        if r.condition(deployment.obj, "Progressing") is None:
            text = f'Found new replica set "{new.name}"'
            made = r.made_condition("Progressing", "True", "FoundNewReplicaSet", text, self._registry.scheduler.stamp())
            status = {**status, "conditions": r.with_condition(list(status.get("conditions") or ()), made)}
        return self._set_status(deployment, status, current), new, old

    def _create(self, deployment: StoredObject, old: list[StoredObject], revision: int) -> tuple[StoredObject, StoredObject]:
        spec = deployment.obj["spec"]
        template = spec["template"]
        status = deployment.obj.get("status") or {}
        digest = r.template_hash(template, status.get("collisionCount", 0))
        meta = template.get("metadata") or {}
        labels = {**(meta.get("labels") or {}), r.HASH: digest}
        selector = spec["selector"]
        selector = {**selector, "matchLabels": {**(selector.get("matchLabels") or {}), r.HASH: digest}}
        replicas = r.new_replicas(deployment, old, 0)
        notes = {key: v for key, v in r.notes_of(deployment).items() if key not in r.NOT_COPIED}
        most = r.replicas_of(deployment) + r.limits(deployment)[0]
        notes |= {r.DESIRED: str(r.replicas_of(deployment)), r.MAX: str(most), r.REVISION: str(revision)}
        min_ready = {"minReadySeconds": spec["minReadySeconds"]} if spec.get("minReadySeconds") else {}
        made = {
            "metadata": {
                "name": f"{deployment.name}-{digest}",
                "labels": labels,
                "annotations": notes,
                "ownerReferences": [owner_reference(deployment)],
            },
            "spec": {
                "replicas": replicas,
                **min_ready,
                "selector": selector,
                "template": {**template, "metadata": {**meta, "labels": labels}},
            },
        }
        try:
            new = self._registry.create(REPLICA_SETS, deployment.namespace, made)
        except StatusError:
            # A ReplicaSet of this name has another template: the hash is salted, and the next sync tries again.
            self._set_status(deployment, {**status, "collisionCount": status.get("collisionCount", 0) + 1})
            raise
        if replicas:
            text = f"Scaled up replica set {new.name} from 0 to {replicas}"
            self._record(deployment.obj, "Normal", "ScalingReplicaSet", text, component="deployment-controller")
        text = f'Created new replica set "{new.name}"'
        condition = r.made_condition("Progressing", "True", "NewReplicaSetCreated", text, self._registry.scheduler.stamp())
        status = {**status, "conditions": r.with_condition(list(status.get("conditions") or ()), condition)}
        return self._set_status(deployment, status, str(revision)), new

    def _clean_up(self, deployment: StoredObject, old: list[StoredObject]) -> list[StoredObject]:
        """Drops the oldest revisions beyond revisionHistoryLimit; also while paused."""
        limit = int(deployment.obj["spec"].get("revisionHistoryLimit", 10))
        surplus = max(0, len(old) - limit)
        kept = list(old)
        for item in sorted(old, key=r.revision_of)[:surplus]:
            seen = r.status_of(item, "observedGeneration") >= item.meta["generation"]
            if not r.replicas_of(item) and not r.status_of(item, "replicas") and seen and "deletionTimestamp" not in item.meta:
                self._registry.delete(item, {"preconditions": {"uid": item.uid}})
                kept.remove(item)
        return kept

    def _calculated(self, deployment: StoredObject, new: StoredObject | None, old: list[StoredObject]) -> Json:
        return r.calculated(deployment, [*old, *([new] if new else [])], new, self._registry.scheduler.stamp())

    def _write_status(self, deployment: StoredObject, sets: list[StoredObject], new: StoredObject | None) -> None:
        status = r.calculated(deployment, sets, new, self._registry.scheduler.stamp())
        if status != deployment.obj.get("status"):
            self._set_status(deployment, status)

    def _write_rollout_status(self, deployment: StoredObject, new: StoredObject | None, old: list[StoredObject]) -> None:
        status, scheduler = self._calculated(deployment, new, old), self._registry.scheduler
        before = r.condition(deployment.obj, "Progressing")
        name = new.name if new else deployment.name
        deadline = deployment.obj["spec"].get("progressDeadlineSeconds")
        is_over = (
            status.get("replicas", 0) == status.get("updatedReplicas", 0)
            and (before or {}).get("reason") == "NewReplicaSetAvailable"
        )
        conditions = status["conditions"]
        if deadline is not None and not is_over:
            made = None
            if r.is_complete(deployment, status):
                made = ("True", "NewReplicaSetAvailable", f'ReplicaSet "{name}" has successfully progressed.')
            elif r.is_progressing(deployment, status):
                made = ("True", "ReplicaSetUpdated", f'ReplicaSet "{name}" is progressing.')
            elif r.has_timed_out(deployment, scheduler.utcnow()):
                made = ("False", "ProgressDeadlineExceeded", f'ReplicaSet "{name}" has timed out progressing.')
            else:
                self._queue.add(deployment.key, deadline + 1.0)
            if made is not None:
                condition = r.made_condition("Progressing", *made, scheduler.stamp())
                if made[1] == "ReplicaSetUpdated" and before and before["status"] == "True":
                    condition["lastTransitionTime"] = before["lastTransitionTime"]
                    conditions = [c for c in conditions if c["type"] != "Progressing"]
                status["conditions"] = r.with_condition(conditions, condition)
        if status != deployment.obj.get("status"):
            self._set_status(deployment, status)


def _adopted(obj: Json, owner: Json) -> Json:
    owners = [*(obj["metadata"].get("ownerReferences") or ()), owner]
    return {**obj, "metadata": {**obj["metadata"], "ownerReferences": owners}}


def _annotated(obj: Json, deployment: StoredObject, revision: int, min_ready: int) -> Json:
    """The new ReplicaSet gets the Deployment's annotations and the revision; one it had before goes into its history."""
    before = obj["metadata"].get("annotations") or {}
    notes = {**before, **{key: v for key, v in r.notes_of(deployment).items() if key not in r.NOT_COPIED}}
    had = str(before.get(r.REVISION, ""))
    if (int(had) if had.isdecimal() else 0) < revision:
        notes[r.REVISION] = str(revision)
        if had:
            history = str(before.get(r.HISTORY, ""))
            notes[r.HISTORY] = f"{history},{had}" if history else had
    spec = obj["spec"]
    if spec.get("minReadySeconds", 0) != min_ready:
        spec = {**spec, "minReadySeconds": min_ready}
    if notes == before and spec is obj["spec"]:
        return obj
    return {**obj, "metadata": {**obj["metadata"], "annotations": notes}, "spec": spec}
