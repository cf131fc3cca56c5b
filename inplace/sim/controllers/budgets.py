"""PodDisruptionBudgets: how many of the pods that each selects are healthy, how many must be, and so how many may go.

A number of pods to keep is simply counted; a share, or what may be missing, is taken of what the workloads ask for. A DaemonSet
asks for no number, so of it a share cannot be told: such a budget fails, and allows nothing, as in a real 1.36.
"""

from __future__ import annotations

from inplace.sim.api.registry import SELF_STATUS, Registry
from inplace.sim.controllers.base import Queue, controller_of, on_events, resolve
from inplace.sim.controllers.pods import facts_of
from inplace.sim.objects import kinds as k
from inplace.sim.objects.errors import Json
from inplace.sim.objects.selectors import selector_test
from inplace.sim.objects.store import Key, StoredObject, StoreEvent

SCALED = (k.DEPLOYMENTS, k.REPLICA_SETS, k.STATEFUL_SETS)


class DisruptionBudgets:
    """Keeps the status of PodDisruptionBudgets true."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._queue = Queue(registry, self._sync)
        on_events(registry, (k.POD_DISRUPTION_BUDGETS,), lambda event: self._queue.add(event.item.key) if event.new else None)
        on_events(registry, (k.PODS,), self._pod_changed)
        on_events(registry, SCALED, self._workload_changed)

    def _pod_changed(self, event: StoreEvent) -> None:
        if event.old is not None and event.new is not None:
            a, b = facts_of(event.old), facts_of(event.new)
            if (a.is_ready, a.is_active) == (b.is_ready, b.is_active) and event.old.meta.get("labels") == event.new.meta.get(
                "labels"
            ):
                return
        self._all_in(event.item.namespace)

    def _workload_changed(self, event: StoreEvent) -> None:
        if event.old is None or event.new is None or event.old.obj["spec"] is not event.new.obj["spec"]:
            self._all_in(event.item.namespace)

    def _all_in(self, namespace: str) -> None:
        for budget in self._registry.store.all(k.POD_DISRUPTION_BUDGETS, namespace):
            self._queue.add(budget.key)

    def _sync(self, key: Key) -> None:
        budget = self._registry.store.get(k.POD_DISRUPTION_BUDGETS, *key)
        if budget is None:
            return
        spec = budget.obj["spec"]
        matches = selector_test(spec.get("selector") or {"matchLabels": {"": ""}})
        pods = [
            pod
            for pod in self._registry.store.all(k.PODS, budget.namespace)
            if matches(pod.meta.get("labels") or {}) and facts_of(pod).phase not in ("Succeeded", "Failed")
        ]
        counted = spec.get("minAvailable")
        unscaled = (
            next((o for pod in pods if (o := _unscaled_owner(pod, self._registry.store.kinds))), "")
            if not isinstance(counted, int)
            else ""
        )
        if unscaled:
            status = self._failed(budget, f"{unscaled} does not implement the scale subresource")
        else:
            status = self._counted(budget, pods)
        if status != budget.obj.get("status"):
            self._registry.change(budget, lambda obj: {**obj, "status": status}, SELF_STATUS)

    def _counted(self, budget: StoredObject, pods: list[StoredObject]) -> Json:
        expected, desired = self._numbers(budget.obj["spec"], pods)
        healthy = sum(1 for pod in pods if facts_of(pod).is_ready and not facts_of(pod).is_terminating)
        allowed = max(0, healthy - desired) if expected else 0
        counts = {"expectedPods": expected, "desiredHealthy": desired, "currentHealthy": healthy, "disruptionsAllowed": allowed}
        reason = "SufficientPods" if allowed else "InsufficientPods"
        condition = {**self._condition(budget, bool(allowed), reason), "observedGeneration": budget.meta["generation"]}
        return {"observedGeneration": budget.meta["generation"], **counts, "conditions": [condition]}

    def _failed(self, budget: StoredObject, message: str) -> Json:
        """What cannot be counted allows nothing, and says so; what was counted before stays."""
        zero = dict.fromkeys(("expectedPods", "desiredHealthy", "currentHealthy"), 0)
        condition = {**self._condition(budget, False, "SyncFailed"), "message": message}
        return {**zero, **(budget.obj.get("status") or {}), "disruptionsAllowed": 0, "conditions": [condition]}

    def _numbers(self, spec: Json, pods: list[StoredObject]) -> tuple[int, int]:
        minimum = spec.get("minAvailable")
        if isinstance(minimum, int):
            return len(pods), minimum
        expected = self._scale(pods)
        if minimum is not None:
            return expected, resolve(minimum, expected, up=True)
        return expected, max(0, expected - resolve(spec.get("maxUnavailable", 0), expected, up=True))

    def _scale(self, pods: list[StoredObject]) -> int:
        """What the workloads of these pods ask for together."""
        found: dict[str, int] = {}
        for pod in pods:
            owner = controller_of(pod.obj)
            kind = next((each for each in SCALED if owner and each.kind == owner["kind"]), None)
            workload = self._registry.store.get(kind, pod.namespace, owner["name"]) if owner and kind else None
            if workload is None:
                continue
            above = controller_of(workload.obj)
            deployment = self._registry.store.get(k.DEPLOYMENTS, pod.namespace, above["name"]) if above else None
            top = deployment or workload
            found[top.uid] = int(top.obj["spec"].get("replicas", 1))
        return sum(found.values())

    def _condition(self, budget: StoredObject, is_allowed: bool, reason: str) -> Json:
        status = "True" if is_allowed else "False"
        before = next(iter((budget.obj.get("status") or {}).get("conditions") or ()), None)
        since = before["lastTransitionTime"] if before and before["status"] == status else self._registry.scheduler.stamp()
        return {"type": "DisruptionAllowed", "status": status, "reason": reason, "message": "", "lastTransitionTime": since}


def _unscaled_owner(pod: StoredObject, kinds: k.Kinds) -> str:
    """The resource that manages a pod and has no number of pods of its own."""
    owner = controller_of(pod.obj)
    kind = kinds.called(owner["apiVersion"], owner["kind"]) if owner else None
    return f"{kind.plural}.{kind.group}" if kind and not kind.has_scale else ""
