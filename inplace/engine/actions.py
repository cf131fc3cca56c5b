"""What a plan wants done, as values: a closed union. Each carries the preconditions it was judged on.

A 409, or a 422 on the uid, means *forget the plan, look again*; `key` names the object an action works on, and while one is
under way nothing else is planned for that object.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from inplace.model.objects.policy import PodDisruptionBudget
from inplace.model.record import UpgradeRecord
from inplace.model.refs import PodRef, WorkloadKind
from inplace.model.run import FieldOwner


class Action(msgspec.Struct, frozen=True, tag=True):
    """Base of the union; never made itself."""

    @property
    def key(self) -> str:
        raise NotImplementedError

    @property
    def intent(self) -> str:
        """What it is to bring about, whatever it was judged on: the same act once more says the same."""
        return f"{type(self).__name__}/{self.key}"


class PodAction(Action, frozen=True):
    pod: PodRef

    @property
    def key(self) -> str:
        return self.pod.uid


class CloseGate(PodAction, frozen=True):
    """Gate False and the record, in one status write. Precondition: uid (the resourceVersion too for bare pods,
    and for those that were judged not Ready)."""

    gate: str
    record: UpgradeRecord
    require_resource_version: bool = False
    budgets: tuple[str, ...] = ()
    """Shared PodDisruptionBudgets: only sent while our claims of them hold."""


class PatchImages(PodAction, frozen=True):
    """Images, revision label and the record in one write. Preconditions: uid and resourceVersion."""

    images: dict[str, str]
    record: UpgradeRecord
    init: frozenset[str] = frozenset()
    """The init containers of the pod: sidecars are among them."""
    revision: str = ""
    """The new value of `controller-revision-hash`, for pods of a StatefulSet or DaemonSet."""
    budgets: tuple[str, ...] = ()
    """As those of a close, where it takes a pod out that has no gate."""

    @property
    def intent(self) -> str:
        return f"{super().intent}/{self.revision}/{_to_json(self.images)}"


class PatchIdleImages(PodAction, frozen=True):
    """Images of containers that do not run, so that nothing restarts: no drain and no record. Ordinary init containers, and
    all of a pod without a node. Preconditions as for `PatchImages`: a pod that gets its node meanwhile is another version."""

    images: dict[str, str]
    init: frozenset[str] = frozenset()
    revision: str = ""


DISRUPTIVE_ACTIONS = CloseGate | PatchImages
"""What may take a pod out of service that is not marked so yet."""


class OpenGate(PodAction, frozen=True):
    """Gate True and the record gone, in one status write. Preconditions: uid and resourceVersion; never retried blindly."""

    gate: str
    reason: str


class RemoveRecord(PodAction, frozen=True):
    """The record goes, the gate stays closed: somebody else holds it. Preconditions: uid and resourceVersion."""


class KeepSteady(PodAction, frozen=True):
    """The record says since when the pod has been ready. Preconditions: uid and resourceVersion."""

    record: UpgradeRecord


class WorkloadAction(Action, frozen=True):
    """Works on the workload object."""

    name: str
    uid: str
    resource_version: str

    @property
    def key(self) -> str:
        return self.uid


class SetPaused(WorkloadAction, frozen=True):
    """`spec.paused` of a Deployment."""

    paused: bool

    @property
    def intent(self) -> str:
        return f"{super().intent}/{self.paused}"


class PatchTemplate(WorkloadAction, frozen=True):
    """Images in the template of a workload of this kind."""

    kind: WorkloadKind
    images: dict[str, str]
    init: frozenset[str] = frozenset()

    @property
    def intent(self) -> str:
        return f"{super().intent}/{_to_json(self.images)}"


class SetUpdateStrategy(WorkloadAction, frozen=True):
    """`spec.updateStrategy` of a StatefulSet or a DaemonSet, whole."""

    kind: WorkloadKind
    strategy: dict[str, Any]

    @property
    def intent(self) -> str:
        return f"{super().intent}/{_to_json(self.strategy)}"


class DeleteDuplicateReplicaSet(WorkloadAction, frozen=True):
    """An owned ReplicaSet without replicas that already holds the new template: it would be taken for the new one."""


class CreateHistoryReplicaSet(Action, frozen=True):
    """A ReplicaSet with 0 replicas that keeps the old template in the history. One that exists already is fine."""

    name: str
    manifest: dict[str, Any]

    @property
    def key(self) -> str:
        return f"tombstone/{self.name}"


FieldsKind = Literal[WorkloadKind, "Pod"]


class RestoreFieldOwners(WorkloadAction, frozen=True):
    """Gives image fields back to the server-side-apply managers that owned them before us."""

    kind: FieldsKind
    owners: tuple[FieldOwner, ...]


class ListSlices(Action, frozen=True):
    """A quorum read of the namespace's EndpointSlices; one serves every pod whose Ready False was seen before it was sent."""

    @property
    def key(self) -> str:
        return "list/slices"


class ListPods(Action, frozen=True):
    """A quorum read of the target's pods."""

    @property
    def key(self) -> str:
        return "list/pods"


class ClaimBudget(Action, frozen=True):
    """The exclusive right to close pods under a PodDisruptionBudget that other workloads share; then a quorum read of its pods
    says how many. Refused where another run has it, or where it allows none."""

    budget: PodDisruptionBudget
    prior_claims: tuple[str, ...] = ()
    """Those before it in the order of names, which the same pod needs, too."""

    @property
    def key(self) -> str:
        return claim_key(self.budget.metadata.name)


class ReleaseBudget(Action, frozen=True):
    """Lets the next run claim it."""

    name: str

    @property
    def key(self) -> str:
        return claim_key(self.name)


def claim_key(budget: str) -> str:
    return f"budget/{budget}"


def required_budgets(action: Action) -> tuple[str, ...]:
    """The claims that an action rests on."""
    match action:
        case CloseGate(budgets=budgets) | PatchImages(budgets=budgets):
            return budgets
        case ClaimBudget(prior_claims=held):
            return held
        case _:
            return ()


def _to_json(value: dict[str, Any]) -> str:
    return msgspec.json.encode(value, order="deterministic").decode()
