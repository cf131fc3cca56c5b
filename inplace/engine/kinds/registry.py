"""Maps each kind of target to its page. Elsewhere in the engine nothing asks of which kind a target is.

To add a kind:

1. `model.refs`: its name in `WorkloadKind`, its short name in `SHORT_NAMES`; `model.objects`: what is read of the API object.
2. `engine.snapshot`: a target that holds the object and what else it is judged on (ReplicaSets, revisions), with `kind` and
   `workload`; `runtime.informers` decodes API objects into it.
3. A page in this folder: one class with every member of `strategy.WorkloadStrategy`. Most kinds change the template either
   after the pods (`workloads.template_last`) or before them, held back (`workloads.template_first`): use those functions, and
   write down on the page what only this kind does. A method that means nothing for the kind returns its empty value.
4. A line in `STRATEGIES` below; a unit test holds that no kind is missing.

A page is pure: it reads the snapshot and the run, returns the next step or words, and never acts.
"""

from __future__ import annotations

from collections.abc import Mapping

from inplace.engine.kinds.bare_pods import BarePodsKind
from inplace.engine.kinds.daemon_set import DaemonSetKind
from inplace.engine.kinds.deployment import DeploymentKind
from inplace.engine.kinds.replica_set import ReplicaSetKind
from inplace.engine.kinds.stateful_set import StatefulSetKind
from inplace.engine.kinds.strategy import WorkloadStrategy
from inplace.engine.snapshot import Snapshot
from inplace.model.refs import TargetKind

STRATEGIES: Mapping[TargetKind, type[WorkloadStrategy]] = {
    "Deployment": DeploymentKind,
    "ReplicaSet": ReplicaSetKind,
    "StatefulSet": StatefulSetKind,
    "DaemonSet": DaemonSetKind,
    "Pods": BarePodsKind,
}


def strategy_for(snapshot: Snapshot) -> WorkloadStrategy:
    """What the target of this snapshot means."""
    return STRATEGIES[snapshot.target.kind](snapshot)
