"""Defines the actions of a plan as values of a closed union, each with the preconditions it was decided on.

A 409, or a 422 on the uid, means that the plan is discarded and made anew. `key` names the object that an action works on;
while an action is in progress, nothing else is planned for that object.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from inplace.model.objects.policy import PodDisruptionBudget
from inplace.model.record import UpgradeRecord
from inplace.model.refs import PodRef, WorkloadKind
from inplace.model.run import FieldOwner


class Action(msgspec.Struct, frozen=True, tag=True):
    """Base class of the union; never instantiated itself."""

    @property
    def key(self) -> str:
        raise NotImplementedError

    @property
    def intent(self) -> str:
        """Identifies the intended effect, independent of preconditions: a repeated action has the same intent."""
        return f"{type(self).__name__}/{self.key}"


class PodAction(Action, frozen=True):
    pod: PodRef

    @property
    def key(self) -> str:
        return self.pod.uid


class CloseGate(PodAction, frozen=True):
    """Sets the gate to False and writes the record, in one status write.

    Precondition: uid; the resourceVersion too for bare pods and for pods that were assessed as not Ready."""

    gate: str
    record: UpgradeRecord
    require_resource_version: bool = False
    budgets: tuple[str, ...] = ()
    """Shared PodDisruptionBudgets: the action is sent only while this run's claims on them hold."""


class PatchImages(PodAction, frozen=True):
    """Writes images, revision label and record at once. Preconditions: uid and resourceVersion."""

    images: dict[str, str]
    record: UpgradeRecord
    init: frozenset[str] = frozenset()
    """The names of the pod's init containers, sidecars included."""
    revision: str = ""
    """The new value of `controller-revision-hash`, for pods of a StatefulSet or DaemonSet."""
    budgets: tuple[str, ...] = ()
    """As in `CloseGate`, for a pod without a gate that this patch takes out of service."""

    @property
    def intent(self) -> str:
        return f"{super().intent}/{self.revision}/{_to_json(self.images)}"


class PatchIdleImages(PodAction, frozen=True):
    """Writes images of containers that do not run, so that nothing restarts and neither drain nor record is needed: regular
    init containers, and all containers of a pod without a node. Preconditions as for `PatchImages`: a pod that gets its node
    meanwhile has another version."""

    images: dict[str, str]
    init: frozenset[str] = frozenset()
    revision: str = ""


DISRUPTIVE_ACTIONS = CloseGate | PatchImages
"""Actions that may take a pod out of service without an earlier mark on it."""


class OpenGate(PodAction, frozen=True):
    """Sets the gate to True and removes the record, in one status write. Preconditions: uid and resourceVersion, so it is never
    retried blindly."""

    gate: str
    reason: str


class RemoveRecord(PodAction, frozen=True):
    """Removes the record and leaves the gate closed, since another hold is on it. Preconditions: uid and resourceVersion."""


class KeepSteady(PodAction, frozen=True):
    """Notes in the record since when the pod has been ready. Preconditions: uid and resourceVersion."""

    record: UpgradeRecord


class WorkloadAction(Action, frozen=True):
    """An action on the workload object. Preconditions: uid and resourceVersion."""

    name: str
    uid: str
    resource_version: str

    @property
    def key(self) -> str:
        return self.uid


class SetPaused(WorkloadAction, frozen=True):
    """Sets `spec.paused` of a Deployment."""

    paused: bool

    @property
    def intent(self) -> str:
        return f"{super().intent}/{self.paused}"


class PatchTemplate(WorkloadAction, frozen=True):
    """Writes images into the template of a workload of this kind."""

    kind: WorkloadKind
    images: dict[str, str]
    init: frozenset[str] = frozenset()

    @property
    def intent(self) -> str:
        return f"{super().intent}/{_to_json(self.images)}"


class SetUpdateStrategy(WorkloadAction, frozen=True):
    """Replaces `spec.updateStrategy` of a StatefulSet or a DaemonSet."""

    kind: WorkloadKind
    strategy: dict[str, Any]

    @property
    def intent(self) -> str:
        return f"{super().intent}/{_to_json(self.strategy)}"


class DeleteDuplicateReplicaSet(WorkloadAction, frozen=True):
    """Deletes an owned ReplicaSet without replicas that already has the new template, since the Deployment controller would
    scale it up as the new one."""


class CreateHistoryReplicaSet(Action, frozen=True):
    """Creates a ReplicaSet with 0 replicas that keeps the old template in the history. One that already exists is fine."""

    name: str
    manifest: dict[str, Any]

    @property
    def key(self) -> str:
        return f"tombstone/{self.name}"


FieldsKind = Literal[WorkloadKind, "Pod"]


class RestoreFieldOwners(WorkloadAction, frozen=True):
    """Returns image fields to the server-side-apply managers that owned them before the run."""

    kind: FieldsKind
    owners: tuple[FieldOwner, ...]


class ListSlices(Action, frozen=True):
    """Lists the namespace's EndpointSlices with a quorum read, which serves every pod seen with Ready False before it was
    sent."""

    @property
    def key(self) -> str:
        return "list/slices"


class ListPods(Action, frozen=True):
    """Lists the target's pods with a quorum read."""

    @property
    def key(self) -> str:
        return "list/pods"


class ClaimBudget(Action, frozen=True):
    """Claims the exclusive right to close pods under a PodDisruptionBudget that other workloads share. A quorum read of its
    pods then says how many. The claim is refused if another run has it, or if the budget allows none."""

    budget: PodDisruptionBudget
    prior_claims: tuple[str, ...] = ()
    """Claims that the same pod needs and that come before this one in the order of names."""

    @property
    def key(self) -> str:
        return claim_key(self.budget.metadata.name)


class ReleaseBudget(Action, frozen=True):
    """Releases the claim on a budget, so that another run can take it."""

    name: str

    @property
    def key(self) -> str:
        return claim_key(self.name)


def claim_key(budget: str) -> str:
    return f"budget/{budget}"


def required_budgets(action: Action) -> tuple[str, ...]:
    """Returns the budgets whose claims must hold when the action is sent."""
    match action:
        case CloseGate(budgets=budgets) | PatchImages(budgets=budgets):
            return budgets
        case ClaimBudget(prior_claims=held):
            return held
        case _:
            return ()


def _to_json(value: dict[str, Any]) -> str:
    return msgspec.json.encode(value, order="deterministic").decode()
