"""What a plan wants done, as values: a closed union. Each carries the preconditions it was judged on.

A 409, or a 422 on the uid, means *forget the plan, look again*; `key` names the object an action works on, and while one is
under way nothing else is planned for that object.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from inplace.model.names import PodRef, WorkloadKind
from inplace.model.record import Record
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
    record: Record
    judged_version: bool = False


class PatchImages(PodAction, frozen=True):
    """Images, revision label and the record in one write. Preconditions: uid and resourceVersion."""

    images: dict[str, str]
    record: Record
    init: frozenset[str] = frozenset()
    """The init containers of the pod: sidecars are among them."""
    revision: str = ""
    """The new value of `controller-revision-hash`, for pods of a StatefulSet or DaemonSet."""

    @property
    def intent(self) -> str:
        return f"{super().intent}/{self.revision}/{_told(self.images)}"


class PatchInitImages(PodAction, frozen=True):
    """Images of ordinary init containers, which restart nothing: no drain and no record. Preconditions as for `PatchImages`."""

    images: dict[str, str]
    revision: str = ""


class OpenGate(PodAction, frozen=True):
    """Gate True and the record gone, in one status write. Preconditions: uid and resourceVersion; never retried blindly."""

    gate: str
    reason: str


class DropRecord(PodAction, frozen=True):
    """The record goes, the gate stays closed: somebody else holds it. Preconditions: uid and resourceVersion."""


class TargetAction(Action, frozen=True):
    """Works on the workload object."""

    name: str
    uid: str
    resource_version: str

    @property
    def key(self) -> str:
        return self.uid


class PauseTarget(TargetAction, frozen=True):
    """`spec.paused` of a Deployment."""

    paused: bool

    @property
    def intent(self) -> str:
        return f"{super().intent}/{self.paused}"


class PatchTemplate(TargetAction, frozen=True):
    """Images in the template of a workload of this kind."""

    kind: WorkloadKind
    images: dict[str, str]
    init: frozenset[str] = frozenset()

    @property
    def intent(self) -> str:
        return f"{super().intent}/{_told(self.images)}"


class SetStrategy(TargetAction, frozen=True):
    """`spec.updateStrategy` of a StatefulSet or a DaemonSet, whole."""

    kind: WorkloadKind
    strategy: dict[str, Any]

    @property
    def intent(self) -> str:
        return f"{super().intent}/{_told(self.strategy)}"


class DeleteTwin(TargetAction, frozen=True):
    """An owned ReplicaSet without replicas that already holds the new template: it would be taken for the new one."""


class CreateTombstone(Action, frozen=True):
    """A ReplicaSet with 0 replicas that keeps the old template in the history. One that exists already is fine."""

    name: str
    manifest: dict[str, Any]

    @property
    def key(self) -> str:
        return f"tombstone/{self.name}"


FieldsOf = Literal[WorkloadKind, "Pod"]


class ReturnFields(TargetAction, frozen=True):
    """Gives image fields back to the server-side-apply managers that owned them before us."""

    kind: FieldsOf
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


def _told(value: dict[str, Any]) -> str:
    return msgspec.json.encode(value, order="deterministic").decode()
