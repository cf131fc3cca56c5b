"""The next step in the sequence that makes a workload consistent: an action, a wait, a fresh list, or the end."""

from __future__ import annotations

import msgspec

from inplace.engine.actions import Action
from inplace.model.objects.pods import Pod
from inplace.model.objects.workloads import Workload
from inplace.model.run import Forgoable


class Perform(msgspec.Struct, frozen=True):
    """Do this next. `reason`: why, for people."""

    action: Action
    reason: str
    forgoing: Forgoable | None = None
    """What the run does without where this cannot be done; None: it cannot do without."""


class WaitFor(msgspec.Struct, frozen=True):
    """Wait for a controller of the cluster."""

    reason: str
    forgoing: Forgoable | None = None


class RelistPods(msgspec.Struct, frozen=True):
    """Continue once a list of the pods, made after this moment, shows every one updated. `moment` names its timer."""

    moment: str


class Blocked(msgspec.Struct, frozen=True):
    """Stop and report: the sequence cannot continue as things are, as when somebody else changed the workload."""

    reason: str


class Done(msgspec.Struct, frozen=True):
    """The workload is as a classic rollout would have left it."""


class Prepared(msgspec.Struct, frozen=True):
    """Pods may be patched. Where the template is ahead and held back, pods of this revision count as updated; empty: no pod
    carries a revision."""

    revision: str


NextStep = Perform | WaitFor | RelistPods | Blocked | Done | Prepared


class Write(msgspec.Struct, frozen=True):
    """A write of a run, for a server dry run before it. `what`: for people, in the imperative. `before`: the pod or workload as
    it is now."""

    what: str
    action: Action
    before: Pod | Workload | None = None
