"""Defines `InPlaceRollout`, which requests one run declaratively. A test compares these structs with the CRD's schema.

The run itself is stored in the Lease of its target, as for a command. `status` is a projection of the run, and small for any
fleet: lists hold at most `MAX_LIST_ITEMS` entries, texts `MAX_TEXT_LENGTH` characters. A count of None is not known yet.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from inplace.model.constants import DEFAULT_GATE
from inplace.model.objects.meta import ApiStruct, ObjectMeta
from inplace.model.refs import TargetKind, TargetRef

MAX_LIST_ITEMS = 20
MAX_TEXT_LENGTH = 256

Phase = Literal["Pending", "Waiting", "Progressing", "Paused", "Succeeded", "Failed", "RolledBack", "Aborted", "Refused"]
TERMINAL_PHASES: frozenset[Phase] = frozenset({"Succeeded", "Failed", "RolledBack", "Aborted", "Refused"})
"""Nothing happens any more, unless a user resumes a failed rollout."""
ConditionType = Literal["Ready", "Progressing", "Paused", "Reconciling", "Stalled", "RequestRefused"]
"""`RequestRefused`: the last request, by annotation, was invalid. The next valid request removes the condition."""
ConditionStatus = Literal["True", "False"]
FailureAction = Literal["Pause", "Rollback", "Continue"]
OnBusy = Literal["Wait", "Refuse"]
OnDelete = Literal["Release", "Abort"]


class ContainerImage(ApiStruct, frozen=True):
    container: str
    image: str


class RolloutTarget(ApiStruct, frozen=True, kw_only=True):
    """A workload by name, or pods by names or by a label selector, in the namespace of the rollout."""

    kind: TargetKind
    name: str = ""
    pod_names: tuple[str, ...] = ()
    selector: str = ""

    def ref(self, namespace: str) -> TargetRef:
        return TargetRef(self.kind, namespace, self.name, self.pod_names, self.selector)


class Undo(ApiStruct, frozen=True, kw_only=True):
    """Requests the images of a revision of the workload's history; 0 means the previous images."""

    to_revision: int = 0


class PauseSpec(ApiStruct, frozen=True):
    """A pause of this many seconds; None lasts until a user resumes."""

    seconds: int | None = None


class RolloutStep(ApiStruct, frozen=True, kw_only=True):
    """A step: exactly one of the two fields is set, as is usual in Kubernetes."""

    pods: int | str | None = None
    pause: PauseSpec | None = None


class Strategy(ApiStruct, frozen=True, kw_only=True):
    """Pace of the rollout. `max_unavailable` None means the workload's own."""

    max_unavailable: int | str | None = None
    steps: tuple[RolloutStep, ...] = ()


class Drain(ApiStruct, frozen=True, kw_only=True):
    settle_seconds: int = 5
    timeout_seconds: int = 60


class Restart(ApiStruct, frozen=True, kw_only=True):
    timeout_seconds: int = 300


class FailurePolicy(ApiStruct, frozen=True, kw_only=True):
    """What to do on failures: `action` is taken once more than `max_failed` pods have failed."""

    max_failed: int = 0
    action: FailureAction = "Pause"


class RolloutSpec(ApiStruct, frozen=True, kw_only=True):
    """The requested run. With neither images nor undo, the pods are brought to their workload's template, as by
    `inplace upgrade` without images."""

    target: RolloutTarget
    images: tuple[ContainerImage, ...] = ()
    undo: Undo | None = None
    gate: str = DEFAULT_GATE
    without_gate: bool = False
    accept_undrainable: tuple[str, ...] = ()
    allow_outage: bool = False
    strategy: Strategy = Strategy()
    drain: Drain = Drain()
    restart: Restart = Restart()
    min_ready_seconds: int | None = None
    failure: FailurePolicy = FailurePolicy()
    paused: bool = False
    on_busy: OnBusy = "Wait"
    on_delete: OnDelete = "Release"
    ttl_seconds_after_finished: int | None = None


class PodInFlight(ApiStruct, frozen=True, kw_only=True):
    """A pod that is being upgraded."""

    name: str
    stage: str
    since: str = ""
    reason: str = ""
    until: str = ""
    """When the wait that `reason` describes ends by itself, if known."""


class FailedPod(ApiStruct, frozen=True, kw_only=True):
    pod: str
    reason: str
    message: str = ""


class StepTiming(ApiStruct, frozen=True, kw_only=True):
    """When a step began and when it was passed."""

    step: str
    started_at: str = ""
    finished_at: str = ""


class Condition(ApiStruct, frozen=True, kw_only=True):
    """A condition, shaped like `metav1.Condition`."""

    type: ConditionType
    status: ConditionStatus
    reason: str
    message: str = ""
    last_transition_time: str = ""
    observed_generation: int = 0


class RolloutStatus(ApiStruct, frozen=True, kw_only=True):
    """The state of the run. `updated` counts pods in service on the requested images, and is 0 after a rollback. `draining`
    counts pods closed to new traffic and not restarted yet. `failed` counts all failures, `failures` lists the first."""

    observed_generation: int = 0
    phase: Phase | None = None
    message: str = ""
    target: str = ""
    image: str = ""
    """The requested images without registry and path, for users."""
    until: str = ""
    """When the current wait ends by itself, such as a timed pause step."""
    step: str = ""
    step_index: int | None = None
    desired: int | None = None
    updated: int | None = None
    ready: int | None = None
    draining: int | None = None
    failed: int | None = None
    in_flight: tuple[PodInFlight, ...] = ()
    failures: tuple[FailedPod, ...] = ()
    run_id: str = msgspec.field(name="runID", default="")
    lease: str = ""
    from_images: tuple[ContainerImage, ...] = ()
    started_at: str = ""
    finished_at: str = ""
    steps: tuple[StepTiming, ...] = ()
    conditions: tuple[Condition, ...] = ()

    def condition(self, condition_type: ConditionType) -> Condition | None:
        return next((c for c in self.conditions if c.type == condition_type), None)

    def merge_patch(self) -> dict[str, Any]:
        """Returns a JSON merge patch that sets this status and removes all fields that it does not set."""
        names = (field.encode_name for field in msgspec.structs.fields(self))
        return {**dict.fromkeys(names), **msgspec.to_builtins(self)}


class InPlaceRollout(ApiStruct, frozen=True, kw_only=True):
    metadata: ObjectMeta
    spec: RolloutSpec
    status: RolloutStatus = RolloutStatus()
    unreadable: str = msgspec.field(name="inplace.dev/unreadable", default="")
    """Not on the wire: why the object cannot be read. Everything but its metadata is then as it was before, or empty."""

    @property
    def user_input(self) -> tuple[Any, ...]:
        """All that users write: reconciling is due only if this changes."""
        meta = self.metadata
        return meta.uid, meta.generation, meta.annotations, meta.deletion_timestamp, self.unreadable


def unreadable_rollout(metadata: ObjectMeta, why: str, before: InPlaceRollout | None) -> InPlaceRollout:
    """Returns a placeholder for a rollout that cannot be read, such as one of another version: nothing new is done for it."""
    if before is not None:
        return msgspec.structs.replace(before, metadata=metadata, unreadable=why)
    return InPlaceRollout(metadata=metadata, spec=RolloutSpec(target=RolloutTarget(kind="Pods")), unreadable=why)
