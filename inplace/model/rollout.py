"""`InPlaceRollout`: one object, one run, asked for declaratively. The schema of its CRD says the same (a test compares them).

The run itself lives in the Lease of its target, as with the command; `status` is a projection of it, and small whatever the
fleet: its lists have `MOST` entries at most, and its texts `LONGEST` characters. A count of None is not known yet.
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
"""Nothing goes on, unless a person says `resume` to one that failed."""
ConditionType = Literal["Ready", "Progressing", "Paused", "Reconciling", "Stalled", "RequestRefused"]
"""The last: that the last request, by annotation, is none. It goes with the next one that is."""
ConditionStatus = Literal["True", "False"]
FailureAction = Literal["Pause", "Rollback", "Continue"]
OnBusy = Literal["Wait", "Refuse"]
OnDelete = Literal["Release", "Abort"]


class ContainerImage(ApiStruct, frozen=True):
    container: str
    image: str


class RolloutTarget(ApiStruct, frozen=True, kw_only=True):
    """A workload by name; kind Pods by names or by a label selector. In the namespace of the rollout."""

    kind: TargetKind
    name: str = ""
    pod_names: tuple[str, ...] = ()
    selector: str = ""

    def ref(self, namespace: str) -> TargetRef:
        return TargetRef(self.kind, namespace, self.name, self.pod_names, self.selector)


class Undo(ApiStruct, frozen=True, kw_only=True):
    """Back to a revision of the workload's history; 0: to what was before."""

    to_revision: int = 0


class PauseSpec(ApiStruct, frozen=True):
    """None: until a person says `resume`."""

    seconds: int | None = None


class RolloutStep(ApiStruct, frozen=True, kw_only=True):
    """Exactly one of the two, as is usual on the wire."""

    pods: int | str | None = None
    pause: PauseSpec | None = None


class Strategy(ApiStruct, frozen=True, kw_only=True):
    """`max_unavailable` None: the workload's own."""

    max_unavailable: int | str | None = None
    steps: tuple[RolloutStep, ...] = ()


class Drain(ApiStruct, frozen=True, kw_only=True):
    settle_seconds: int = 5
    timeout_seconds: int = 60


class Restart(ApiStruct, frozen=True, kw_only=True):
    timeout_seconds: int = 300


class FailurePolicy(ApiStruct, frozen=True, kw_only=True):
    """`action` is taken once more than `max_failed` pods have failed."""

    max_failed: int = 0
    action: FailureAction = "Pause"


class RolloutSpec(ApiStruct, frozen=True, kw_only=True):
    """Neither images nor undo: the pods are brought to their workload's template, as `inplace upgrade` without images does."""

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
    """A pod that is worked on now."""

    name: str
    stage: str
    since: str = ""
    reason: str = ""
    until: str = ""
    """When what `reason` says is over by itself, where that is known."""


class FailedPod(ApiStruct, frozen=True, kw_only=True):
    pod: str
    reason: str
    message: str = ""


class StepTiming(ApiStruct, frozen=True, kw_only=True):
    """When a step began, and when it was passed."""

    step: str
    started_at: str = ""
    finished_at: str = ""


class Condition(ApiStruct, frozen=True, kw_only=True):
    """As `metav1.Condition`."""

    type: ConditionType
    status: ConditionStatus
    reason: str
    message: str = ""
    last_transition_time: str = ""
    observed_generation: int = 0


class RolloutStatus(ApiStruct, frozen=True, kw_only=True):
    """`updated`: pods in service on what is asked for; none after a way back. `draining`: pods closed to new traffic and not
    restarted yet. `failed` counts all, `failures` names the first."""

    observed_generation: int = 0
    phase: Phase | None = None
    message: str = ""
    target: str = ""
    image: str = ""
    """What is asked for, by the ends of the images' names: for people."""
    until: str = ""
    """When what it waits for is over by itself, such as a timed pause of its steps."""
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
        """What it does not say is removed."""
        names = (field.encode_name for field in msgspec.structs.fields(self))
        return {**dict.fromkeys(names), **msgspec.to_builtins(self)}


class InPlaceRollout(ApiStruct, frozen=True, kw_only=True):
    metadata: ObjectMeta
    spec: RolloutSpec
    status: RolloutStatus = RolloutStatus()
    unreadable: str = msgspec.field(name="inplace.dev/unreadable", default="")
    """Not on the wire: why all but its metadata is what it was before, or nothing."""

    @property
    def user_input(self) -> tuple[Any, ...]:
        """All that its person writes."""
        meta = self.metadata
        return meta.uid, meta.generation, meta.annotations, meta.deletion_timestamp, self.unreadable


def unreadable_rollout(metadata: ObjectMeta, why: str, before: InPlaceRollout | None) -> InPlaceRollout:
    """What stands for one that cannot be read (written by another version of us, say): nothing new is done for it."""
    if before is not None:
        return msgspec.structs.replace(before, metadata=metadata, unreadable=why)
    return InPlaceRollout(metadata=metadata, spec=RolloutSpec(target=RolloutTarget(kind="Pods")), unreadable=why)
