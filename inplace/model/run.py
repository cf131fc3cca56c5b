"""One upgrade of one target to one set of images: what was asked for, and what must survive the process.

The run is JSON in annotation `inplace.dev/run` of the target's Lease. Only the holder of the Lease writes it, and always before
the first action of the plan that changed it.
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
"""With these nothing is left to do: the workload is consistent, and nothing of ours is on it."""
RollbackReason = Literal["Failure", "Abort"]
"""Why a run goes back."""
Operation = Literal["Upgrade", "Undo"]
Forgoable = Literal["history", "fields"]
"""What a run can end well without: the old template in the history, and image fields given back to their owners."""
RunCommand = Literal["pause", "resume", "promote", "abort"]
"""What may be asked of a run's holder."""


class PodsStep(ApiStruct, frozen=True, tag_field="step", tag="share"):
    """Go on until this many pods (or this share of them, rounded up) are updated."""

    amount: int | str


class PauseStep(ApiStruct, frozen=True, tag_field="step", tag="pause"):
    """Wait so many seconds; None: until a person says `resume`."""

    seconds: float | None = None


Step = PodsStep | PauseStep


def parse_steps(text: str) -> tuple[Step, ...]:
    """`10%,pause,50%,pause:10m,100%`. Raises ValueError with a line for a person; the last step must be 100%."""
    steps = tuple(_parse_step(part.strip()) for part in text.split(","))
    if steps[-1] != PodsStep(amount="100%"):
        raise ValueError(f"the last step must be 100%, not {text.rsplit(',', 1)[-1].strip()!r}: to stop halfway use a pause")
    if not steps_grow(steps):
        raise ValueError(f"steps must grow: {text}")
    return steps


def steps_grow(steps: Iterable[Step]) -> bool:
    """Percentages among themselves, and counts among themselves: which is more depends on the number of pods."""
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
    """How to go about it. None means the workload's own value."""

    gate: str = DEFAULT_GATE
    max_unavailable: int | str | None = None
    steps: tuple[Step, ...] = (PodsStep(amount="100%"),)
    settle_seconds: float = 5.0
    drain_timeout_seconds: float = 60.0
    restart_timeout_seconds: float = 300.0
    min_ready_seconds: float | None = None
    on_failure: OnFailure = "pause"
    max_failed: int = 0
    """So many pods may fail before `on_failure` is done."""
    accept_undrainable: tuple[str, ...] = ()
    without_gate: bool = False
    """Nothing is drained, and nothing is claimed: for pods that have no gate."""
    allow_outage: bool = False
    """Also the last ready endpoint of a Service may be drained."""


class FieldOwner(ApiStruct, frozen=True, kw_only=True):
    """A field manager that owned fields before us: they are given back to it after the commit."""

    manager: str
    operation: str
    api_version: str
    subresource: str = ""
    containers: tuple[str, ...] = ()
    """Those whose image it owned."""
    strategy: dict[str, Any] = {}
    """What it owned of `spec.updateStrategy`, in the form of fieldsV1."""
    pod: str = ""
    """For bare pods: which; empty: each of them."""


class CommitState(ApiStruct, frozen=True, kw_only=True):
    """Saved before the first write of a commit; its presence means that the commit has begun and must be finished."""

    paused: bool = False
    """The user's `spec.paused`."""
    live_uid: str = ""
    """The ReplicaSet whose pods are upgraded."""
    revision: int = 0
    """That ReplicaSet's revision before the commit."""
    template: dict[str, str] = {}
    """What the Deployment's own template said of the run's containers, which may have been ahead of its pods."""
    undo_reason: str = msgspec.field(default="", name="givenUp")
    """Why it is undone instead of finished: the templates go back, and `paused` is given back."""


MOST_FAILURES = 20
"""So many are stored; of the others, how many there are."""
LONGEST_MESSAGE = 500
"""Of what a kubelet, an API server or a person says, as it is stored."""


class PodFailure(ApiStruct, frozen=True, kw_only=True):
    """A pod that could not be upgraded, and why; kept until the next start of the run."""

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
    """Container name to the image it is to run; during a rollback, the image it goes back to."""
    from_images: dict[str, str] = {}
    """The template's (for bare pods: the first pod's) images before the run."""
    images_before_admission: dict[str, str] = msgspec.field(default={}, name="named")
    """What a person asked for, where admission makes another name of it: `images` are then what it makes."""
    pod_images: dict[str, str] = {}
    """What admission makes of images on pods, where that is not what the template says."""
    pod_from_images: dict[str, str] = {}
    """What the pods ran before the run, where all had another name for it than the template."""
    rewritten: dict[str, str] = {}
    """What admission made of an image on a pod, and was not meant: whoever goes back, goes back from that, too."""
    options: RunOptions = RunOptions()
    created_by: str = msgspec.field(default="", name="by")
    """Who began it, as the API server calls the caller; where it does not say, the same as `client`."""
    client: str = ""
    """USER@HOST of the machine that it was begun from, by that machine's own account."""
    expiring_rollout: str = msgspec.field(default="", name="expiring")
    """The InPlaceRollout that it was begun for, where that expires by a ttl, and may be applied again by whoever keeps it."""
    started_at: str = ""
    ended_at: str = ""
    steps_passed: int = 0
    waits: dict[str, str] = {}
    """What it waits for, by the planner's names, to when that began: whoever takes it over goes on from there."""
    owners: tuple[FieldOwner, ...] = ()
    paused: bool = False
    """The user's `spec.paused` of a Deployment, as it was when the run was last begun or resumed."""
    superseded_images: tuple[dict[str, str], ...] = msgspec.field(default=(), name="displaced")
    """What runs that this one took over from were taking the pods to, or a person had: the template may hold that."""
    adopts_template: bool = msgspec.field(default=False, name="takesOver")
    """Begun without images: to bring the pods to the template, those behind a partition too."""
    saved_strategy: dict[str, Any] | None = msgspec.field(default=None, name="strategy")
    """The user's updateStrategy, saved before our first write to a StatefulSet or DaemonSet; given back at the end."""
    revision_before: int = 0
    """The number of the workload's newest revision when the run was begun."""
    revision: str = ""
    """The value of `controller-revision-hash` that stands for the images, known once the template is patched."""
    live_uid: str = ""
    """The ReplicaSet that had a Deployment's pods when the run was begun; in place they stay with it to the end."""
    live_revision: int = 0
    """That ReplicaSet's revision then. Only a rollout, or our own commit, raises it."""
    template: str = ""
    """Stands for the template as it was then, but for its images: no run changes anything else in it."""
    commit: CommitState | None = None
    failures: tuple[PodFailure, ...] = ()
    """All, in the process that has met them; once stored, the first few."""
    more_failed: int = 0
    """Failures beyond those, of a run that was read from its Lease."""
    gave_up: str = ""
    """Why the run stops where it stands, until its next start."""
    forgone: dict[Forgoable, str] = {}
    """What it has gone on without, and why, in words."""
    rollback_reason: RollbackReason | None = msgspec.field(default=None, name="back")
    original_images: dict[str, str] | None = msgspec.field(default=None, name="wanted")
    """While rolling back: the images that were asked for."""
    outcome: Outcome | None = None
    message: str = ""

    @property
    def signature(self) -> str:
        """Who began it, for people."""
        return format_signature(self.created_by, self.client)

    @property
    def failed_count(self) -> int:
        return len(self.failures) + self.more_failed

    @property
    def rolling_back(self) -> bool:
        return self.rollback_reason is not None

    @property
    def keeps_template(self) -> bool:
        """Going back from a template that its owner had changed: that is no doing of the run, and stays."""
        return self.adopts_template and self.rolling_back and not self.superseded_images

    @property
    def requested_images(self) -> dict[str, str]:
        return self.original_images if self.original_images is not None else self.images

    @property
    def images_on_pods(self) -> dict[str, str]:
        """What a pod is given."""
        return {**self.images, **(self.pod_from_images if self.rolling_back else self.pod_images)}

    def is_for(self, images: Mapping[str, str]) -> bool:
        """Whether these are what it was begun for, in a person's words or in those of admission."""
        asked = self.requested_images
        return asked.keys() == images.keys() and all(
            image in (asked[c], self.images_before_admission.get(c)) for c, image in images.items()
        )

    @property
    def known_images(self) -> tuple[dict[str, str], ...]:
        """All that this run, or one that it took over from, has found or has meant the pods to run."""
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
        """Has work left, whether or not anybody does it now."""
        return self.outcome not in TERMINAL_OUTCOMES

    @property
    def is_active(self) -> bool:
        """Somebody drives it, or holds it where it stands paused, or has died over it."""
        return self.outcome in (None, "Paused")


def decode_run(text: str) -> Run:
    """Raises ValueError with a line for a person."""
    try:
        run = msgspec.json.decode(text, type=Run)
    except CANNOT_BE_READ as error:
        raise ValueError(f"the stored run cannot be read: {error}") from None
    if run.v != 1:
        raise ValueError(f"the stored run has version {run.v}; this inplace knows version 1")
    return run


def encode_run(run: Run) -> str:
    """As it is stored: small whatever the fleet, since a Lease bears no more than 256 KiB of annotations."""
    kept = tuple(msgspec.structs.replace(f, message=truncate(f.message)) for f in run.failures[:MOST_FAILURES])
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
    """`jane (root@laptop)`; of whom only the machine says who it is, just that."""
    if not client or not by:
        return by or client
    return f"{by} (by its own account)" if by == client else f"{by} ({client})"


def truncate(text: str, longest: int = LONGEST_MESSAGE) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def lease_name(target: TargetRef) -> str:
    """`inplace-<kind>-<name>`, or `inplace-pods-<hash of the selection>`. Too long a name ends in a hash of the whole."""
    if target.kind == "Pods":
        selection: Any = target.selector or ",".join(sorted(target.pod_names))
        return f"inplace-pods-{hashlib.sha256(selection.encode()).hexdigest()[:16]}"
    name = f"inplace-{target.kind.lower()}-{target.name}"
    return name if len(name) <= 253 else f"{name[:236]}-{hashlib.sha256(name.encode()).hexdigest()[:16]}"


class StopRequest(msgspec.Struct, frozen=True):
    """The run is to end early: pods in flight are finished or reopened, no more are started.

    `by_others`: because somebody else changed the workload.
    """

    outcome: Outcome
    message: str
    external_change: bool = False
