"""Defines the run: one upgrade of one target to one set of images, with its request and all that must survive the process.

The run is stored as JSON in annotation `inplace.dev/run` of the target's Lease. Only the holder of the Lease writes it, and
always before the first action of the plan that changed it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, Literal

import msgspec

from inplace.model.constants import DEFAULT_GATE
from inplace.model.durations import parse_duration
from inplace.model.int_or_percent import parse_int_or_percent
from inplace.model.objects.meta import CANNOT_BE_READ, ApiStruct
from inplace.model.refs import TargetRef

OnFailure = Literal["pause", "rollback", "continue"]
Outcome = Literal["Succeeded", "Failed", "RolledBack", "Aborted", "TimedOut", "Paused", "Interrupted"]
TERMINAL_OUTCOMES: frozenset[Outcome] = frozenset({"Succeeded", "RolledBack", "Aborted"})
"""Outcomes that leave nothing to do: the workload is consistent and carries nothing of inplace."""
RollbackReason = Literal["Failure", "Abort"]
Operation = Literal["Upgrade", "Undo"]
Forgoable = Literal["history", "fields"]
"""What a run can succeed without: the old template in the history, and returning image fields to their owners."""
RunCommand = Literal["pause", "resume", "promote", "abort"]
"""Commands that the holder of a run accepts."""


class PodsStep(ApiStruct, frozen=True, tag_field="step", tag="share"):
    """Continues until this many pods, or this percentage rounded up, are updated."""

    amount: int | str


class PauseStep(ApiStruct, frozen=True, tag_field="step", tag="pause"):
    """Waits this many seconds; None waits until a user resumes."""

    seconds: float | None = None


Step = PodsStep | PauseStep


def parse_steps(text: str) -> tuple[Step, ...]:
    """Parses steps like `10%,pause,50%,pause:10m,100%`. Raises ValueError with one line for a user; the last must be 100%."""
    steps = tuple(_parse_step(part.strip()) for part in text.split(","))
    if steps[-1] != PodsStep(amount="100%"):
        raise ValueError(f"the last step must be 100%, not {text.rsplit(',', 1)[-1].strip()!r}: to stop halfway use a pause")
    if not steps_grow(steps):
        raise ValueError(f"steps must grow: {text}")
    return steps


def steps_grow(steps: Iterable[Step]) -> bool:
    """Whether percentages grow, and counts grow. The two are not compared, since that depends on the number of pods."""
    amounts = [step.amount for step in steps if isinstance(step, PodsStep)]
    percents = [int(amount[:-1]) for amount in amounts if isinstance(amount, str)]
    counts = [amount for amount in amounts if isinstance(amount, int)]
    return all(numbers == sorted(set(numbers)) for numbers in (percents, counts))


def _parse_step(part: str) -> Step:
    if part == "pause":
        return PauseStep()
    if part.startswith("pause:"):
        return PauseStep(seconds=parse_duration(part.removeprefix("pause:")))
    amount = parse_int_or_percent(part)
    if amount in (0, "0%"):
        raise ValueError("a step of 0 does nothing: leave it out")
    return PodsStep(amount=amount)


class RunOptions(ApiStruct, frozen=True, kw_only=True, omit_defaults=False):
    """Options of a run. None means the workload's own value."""

    gate: str = DEFAULT_GATE
    max_unavailable: int | str | None = None
    steps: tuple[Step, ...] = (PodsStep(amount="100%"),)
    settle_seconds: float = 5.0
    drain_timeout_seconds: float = 60.0
    restart_timeout_seconds: float = 300.0
    min_ready_seconds: float | None = None
    on_failure: OnFailure = "pause"
    max_failed: int = 0
    """How many failed pods to tolerate before `on_failure` applies."""
    accept_undrainable: tuple[str, ...] = ()
    without_gate: bool = False
    """Restarts pods that have no gate without draining them."""
    allow_outage: bool = False
    """Allows draining the last ready endpoint of a Service."""


class FieldOwner(ApiStruct, frozen=True, kw_only=True):
    """A field manager that owned fields before the run: they are returned to it after the commit."""

    manager: str
    operation: str
    api_version: str
    subresource: str = ""
    containers: tuple[str, ...] = ()
    """The containers whose image it owned."""
    strategy: dict[str, Any] = {}
    """The part of `spec.updateStrategy` that it owned, as fieldsV1."""
    pod: str = ""
    """The name of a bare pod; empty means each of the run's pods."""


class CommitState(ApiStruct, frozen=True, kw_only=True):
    """State saved before the first write of a commit: its presence means that the commit has begun and must be finished."""

    paused: bool = False
    """The user's `spec.paused`."""
    live_uid: str = ""
    """The ReplicaSet whose pods are upgraded."""
    revision: int = 0
    """That ReplicaSet's revision before the commit."""
    template: dict[str, str] = {}
    """The images of the run's containers in the Deployment's template, which may have been ahead of its pods."""
    undo_reason: str = msgspec.field(default="", name="givenUp")
    """Why the commit is undone instead of finished: the templates and `paused` are restored."""


MAX_FAILURES = 20
"""How many failures are stored; the others are only counted."""
MAX_MESSAGE_LENGTH = 500
"""Limit for stored messages of kubelets, API servers and users."""


class PodFailure(ApiStruct, frozen=True, kw_only=True):
    """A pod that could not be upgraded, and why. It is kept until the run is started again."""

    pod: str
    uid: str
    reason: str
    message: str


class Run(ApiStruct, frozen=True, kw_only=True):
    """The run as it is stored."""

    v: int = 1
    id: str
    target: TargetRef
    target_uid: str = ""
    operation: Operation = msgspec.field(default="Upgrade", name="doing")
    images: dict[str, str]
    """The image that each container is to run, by container name; during a rollback, the image to return to."""
    from_images: dict[str, str] = {}
    """The images before the run: of the template, or of the first bare pod."""
    images_before_admission: dict[str, str] = msgspec.field(default={}, name="named")
    """The images as the user named them, where admission renames them: `images` then holds admission's names."""
    pod_images: dict[str, str] = {}
    """What admission makes of the images on pods, where that differs from the template."""
    pod_from_images: dict[str, str] = {}
    """The images that the pods had before the run, where all of them used another name than the template."""
    rewritten: dict[str, str] = {}
    """Unwanted images that admission put on a pod: a rollback also returns from these."""
    options: RunOptions = RunOptions()
    created_by: str = msgspec.field(default="", name="by")
    """The user who began the run, as the API server calls that user; the same as `client` if it does not say."""
    client: str = ""
    """USER@HOST of the machine that began the run, by its own account."""
    expiring_rollout: str = msgspec.field(default="", name="expiring")
    """The InPlaceRollout that requested the run, if a ttl deletes it: a tool may then apply it again."""
    started_at: str = ""
    ended_at: str = ""
    steps_passed: int = 0
    waits: dict[str, str] = {}
    """When each current wait began, by the planner's timer names: the next holder continues these deadlines."""
    owners: tuple[FieldOwner, ...] = ()
    paused: bool = False
    """The user's `spec.paused` of a Deployment when the run was last begun or resumed."""
    superseded_images: tuple[dict[str, str], ...] = msgspec.field(default=(), name="displaced")
    """Target images of the runs that this one superseded, or of a user's change: the template may hold them."""
    adopts_template: bool = msgspec.field(default=False, name="takesOver")
    """Begun without images, to bring all pods to the template, including those behind a partition."""
    saved_strategy: dict[str, Any] | None = msgspec.field(default=None, name="strategy")
    """The user's updateStrategy, saved before the first write to a StatefulSet or DaemonSet and restored at the end."""
    revision_before: int = 0
    """Number of the workload's newest revision when the run was begun."""
    revision: str = ""
    """The `controller-revision-hash` of the run's images, known once the template is patched."""
    live_uid: str = ""
    """The ReplicaSet that owned a Deployment's pods when the run was begun; an in-place upgrade leaves them with it."""
    live_revision: int = 0
    """That ReplicaSet's revision at that time. Only a rollout, or the run's own commit, raises it."""
    template: str = ""
    """Identifies the template at that time apart from its images, which are all that a run changes in it."""
    commit: CommitState | None = None
    failures: tuple[PodFailure, ...] = ()
    """All failures in the process that met them; only the first few once stored."""
    more_failed: int = 0
    """How many further failures there were, in a run that was read from its Lease."""
    gave_up: str = ""
    """Why the run stops in its present state until it is started again."""
    forgone: dict[Forgoable, str] = {}
    """What the run went on without, and why."""
    rollback_reason: RollbackReason | None = msgspec.field(default=None, name="back")
    original_images: dict[str, str] | None = msgspec.field(default=None, name="wanted")
    """The requested images, during a rollback."""
    outcome: Outcome | None = None
    message: str = ""

    @property
    def signature(self) -> str:
        """The user who began the run, for users."""
        return format_signature(self.created_by, self.client)

    @property
    def failed_count(self) -> int:
        return len(self.failures) + self.more_failed

    @property
    def rolling_back(self) -> bool:
        return self.rollback_reason is not None

    @property
    def keeps_template(self) -> bool:
        """Whether a rollback leaves the template alone, since its owner changed it and not the run."""
        return self.adopts_template and self.rolling_back and not self.superseded_images

    @property
    def requested_images(self) -> dict[str, str]:
        return self.original_images if self.original_images is not None else self.images

    @property
    def images_on_pods(self) -> dict[str, str]:
        """The images that a pod is patched to."""
        return {**self.images, **(self.pod_from_images if self.rolling_back else self.pod_images)}

    def is_for(self, images: Mapping[str, str]) -> bool:
        """Whether these are the requested images, under the user's names or admission's."""
        requested = self.requested_images
        return requested.keys() == images.keys() and all(
            image in (requested[c], self.images_before_admission.get(c)) for c, image in images.items()
        )

    @property
    def known_images(self) -> tuple[dict[str, str], ...]:
        """All images that this run or one that it superseded found on the pods or brought them to."""
        of_pods = (self.pod_from_images, self.pod_images)
        return (
            self.from_images,
            self.images,
            self.requested_images,
            self.images_before_admission,
            *of_pods,
            *self.superseded_images,
        )

    @property
    def is_unfinished(self) -> bool:
        """Whether work is left, even if no process does it now."""
        return self.outcome not in TERMINAL_OUTCOMES

    @property
    def is_active(self) -> bool:
        """Whether a holder drives it, holds it paused, or died while driving it."""
        return self.outcome in (None, "Paused")


def decode_run(text: str) -> Run:
    """Reads a stored run. Raises ValueError with one line for a user."""
    try:
        run = msgspec.json.decode(text, type=Run)
    except CANNOT_BE_READ as error:
        raise ValueError(f"the stored run cannot be read: {error}") from None
    if run.v != 1:
        raise ValueError(f"the stored run has version {run.v}; this inplace knows version 1")
    return run


def encode_run(run: Run) -> str:
    """Encodes the run for storage: small for any fleet, since an object holds at most 256 KiB of annotations."""
    kept = tuple(msgspec.structs.replace(f, message=truncate(f.message)) for f in run.failures[:MAX_FAILURES])
    return msgspec.json.encode(
        msgspec.structs.replace(
            run,
            created_by=truncate(run.created_by),
            client=truncate(run.client),
            failures=kept,
            more_failed=run.failed_count - len(kept),
            message=truncate(run.message),
        )
    ).decode()


def format_signature(by: str, client: str) -> str:
    """Formats who did something, like `jane (root@laptop)`; only the client's own account if the API server names no user."""
    if not client or not by:
        return by or client
    return f"{by} (by its own account)" if by == client else f"{by} ({client})"


def truncate(text: str, max_length: int = MAX_MESSAGE_LENGTH) -> str:
    return text if len(text) <= max_length else f"{text[: max_length - 1]}…"


def lease_name(target: TargetRef) -> str:
    """Names the Lease of a target: `inplace-<kind>-<name>` or `inplace-pods-<hash of the selection>`. A name that is too long
    ends in a hash of the whole."""
    if target.kind == "Pods":
        selection: Any = target.selector or ",".join(sorted(target.pod_names))
        return f"inplace-pods-{hashlib.sha256(selection.encode()).hexdigest()[:16]}"
    name = f"inplace-{target.kind.lower()}-{target.name}"
    return name if len(name) <= 253 else f"{name[:236]}-{hashlib.sha256(name.encode()).hexdigest()[:16]}"


class StopRequest(msgspec.Struct, frozen=True):
    """Asks the run to end early: pods in flight are finished or reopened, and no more are started.

    `external_change`: because somebody else changed the workload.
    """

    outcome: Outcome
    message: str
    external_change: bool = False
