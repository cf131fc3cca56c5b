"""The promises, as a pure function from a log to the sentences that say where it broke them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from tests.recorder.history import ClusterState, Step, end, has_pods, replay, restarts
from tests.recorder.log import (
    HOLDS,
    RECORD,
    Event,
    Object,
    annotation,
    condition,
    container_ids,
    finished,
    images,
    owner,
    statuses,
    terminating,
)
from tests.recorder.writers import writes_by_us, written_by

REVISION_HASH = "controller-revision-hash"


@dataclass(frozen=True)
class Rules:
    """What a test expects. None, or False, switches a rule off."""

    max_unavailable: int | None = None
    workload: str | None = None  # "Deployment/web"; else every pod of the namespace, as many as there are
    gate: str = "inplace.dev/ready"
    upgraded: int | None = None  # so many pods were upgraded, that is: image patched, and the gate opened after
    writes_per_pod: int | None = None  # our writes to each upgraded pod
    drains: bool = True  # off for pods without the gate
    one_restart: bool = True  # per image change, and none without (off for crashing images)
    one_replicaset: bool = True  # no second ReplicaSet of an owner gets pods
    undrainable: frozenset[str] = frozenset()  # Services accepted as never turning
    since: int = 0  # judge only what came after this resource version


@dataclass
class Upgrade:
    """A container whose image was changed since its gate closed: what it was before the first and the last change."""

    image: str
    first_id: str | None
    last_id: str | None

    def restarted(self, image: str, container_id: str | None) -> bool:
        """Or need not: its image was taken back before the kubelet looked."""
        untouched = image == self.image and self.first_id == self.last_id
        return container_id is not None and (container_id != self.last_id or untouched)


@dataclass
class Trial:
    rules: Rules
    violations: list[str] = field(default_factory=list)
    changed: dict[str, dict[str, Upgrade]] = field(default_factory=dict)  # by pod uid and container, until the gate opens
    upgraded: set[str] = field(default_factory=set)
    replicasets: dict[str, str] = field(default_factory=dict)  # the first one of each owner


def validate(log: Iterable[Event], rules: Rules) -> list[str]:
    log = list(log)
    trial = Trial(rules)
    for step in replay(log):
        for violation in judge(step, trial):
            if step.event.rv > rules.since:
                trial.violations.append(f"{violation} (resourceVersion {step.event.rv})")
    return trial.violations + list(summary(log, trial))


def judge(step: Step, trial: Trial) -> Iterator[str]:
    if step.event.kind == "ReplicaSet":
        yield from one_replicaset(step, trial)
    if step.event.kind != "Pod" or step.event.type == "DELETED":
        return
    yield from ready_is_honest(step)
    yield from labelled(step)
    if step.before:
        yield from same_address(step)
        yield from budget(step, trial.rules)
        yield from drained(step, trial)
        yield from proven(step, trial)


def budget(step: Step, rules: Rules) -> Iterator[str]:
    """I1: at the moment we close a gate, no more than maxUnavailable pods are out, this one included."""
    if rules.max_unavailable is None or not closed_by_us(step, rules) or condition(step.before, "Ready") != "True":
        return
    pods = {**step.world.all("Pod"), step.event.uid: step.event.object}
    workload = find_workload(step, rules.workload)
    alive = [p for p in pods.values() if not terminating(p) and not finished(p) and selected(p, workload)]
    available = [p for p in alive if condition(p, "Ready") == "True" and condition(p, rules.gate) != "False"]
    unscheduled = sum(not scheduled(p) for p in alive)  # as long as there is no room, nobody can end that
    unavailable = max(desired(workload), len(alive)) - unscheduled - len(available)
    if unavailable > rules.max_unavailable:
        yield f"I1: closing {step.event.name} makes {unavailable} pods unavailable, {rules.max_unavailable} are allowed"


def scheduled(pod: Object) -> bool:
    """Something of it runs, or may."""
    return "nodeName" in pod["spec"] or bool(statuses(pod))


def closed_by_us(step: Step, rules: Rules) -> bool:
    """Our upgrade closed it: not a person, and not the gate controller for another hold."""
    before, after = step.before, step.event.object
    if before is None or condition(after, rules.gate) != "False" or condition(before, rules.gate) == "False":
        return False
    if annotation(after, RECORD) and not annotation(before, RECORD):
        return True
    return written_by(before, after, rules.gate) and annotation(before, HOLDS) == annotation(after, HOLDS)


def find_workload(step: Step, reference: str | None) -> Object | None:
    if reference is None:
        return None
    kind, _, name = reference.partition("/")
    found = [o for o in step.world.all(kind).values() if o["metadata"]["name"] == name]
    if not found:
        raise ValueError(f"{reference} is not in the log")
    return found[0]


def selected(pod: Object, workload: Object | None) -> bool:
    labels = pod["metadata"].get("labels") or {}
    return workload is None or workload["spec"]["selector"]["matchLabels"].items() <= labels.items()


def desired(workload: Object | None) -> int:
    if workload is None:
        return 0
    status = workload.get("status", {})
    return int(status.get("desiredNumberScheduled", workload["spec"].get("replicas", 1)))


def drained(step: Step, trial: Trial) -> Iterator[str]:
    """I2: an image is changed only behind a closed gate, on a pod that is not Ready and that no slice sends to; or on one that
    has no node, where nothing runs."""
    before, pod = step.before, step.event.object
    old, gate = images(before), trial.rules.gate
    changed = [name for name, image in images(pod).items() if name in old and old[name] != image]
    if before is None or not changed or not scheduled(before):
        return
    ids, open_cases = container_ids(before), trial.changed.setdefault(step.event.uid, {})
    for name in changed:
        case = open_cases.setdefault(name, Upgrade(old[name], ids.get(name), ids.get(name)))
        case.last_id = ids.get(name)
    if not trial.rules.drains:
        return
    who = f"{step.event.name} ({', '.join(changed)})"
    if condition(before, "Ready") == "True":
        yield f"I2: the image of {who} was changed while the pod was Ready"
    if condition(before, gate) != "False":
        yield f"I2: the image of {who} was changed while the gate was not closed"
    for name, entry in step.world.all("EndpointSlice").items():
        service = (entry["metadata"].get("labels") or {}).get("kubernetes.io/service-name", name)
        if service not in trial.rules.undrainable and any(sends_to(e, before) for e in entry.get("endpoints") or []):
            yield f"I2: the image of {who} was changed while a slice of {service} still sent to the pod"


def sends_to(endpoint: Object, pod: Object) -> bool:
    """Ready unless it says no; by address only where nobody says whose endpoint it is."""
    if (endpoint.get("conditions") or {}).get("ready") is False:
        return False
    if target := endpoint.get("targetRef"):
        return bool(target.get("uid") == pod["metadata"]["uid"])
    return not pod["spec"].get("hostNetwork") and pod.get("status", {}).get("podIP") in endpoint["addresses"]


def proven(step: Step, trial: Trial) -> Iterator[str]:
    """I3: a gate opens only after each changed container was restarted, runs, and the kubelet saw the generation."""
    pod, gate = step.event.object, trial.rules.gate
    if condition(pod, gate) != "True" or condition(step.before, gate) == "True":
        return
    cases = trial.changed.pop(step.event.uid, {})
    found, now = statuses(pod), images(pod)
    for name, upgrade in cases.items():
        who, status = f"the gate of {step.event.name} was opened", found.get(name, {})
        if not upgrade.restarted(now[name], status.get("containerID")):
            yield f"I3: {who} before container {name} was restarted"
        if "running" not in status.get("state", {}):
            yield f"I3: {who} while container {name} was not running"
    if cases and pod["status"].get("observedGeneration", 0) < pod["metadata"]["generation"]:
        yield f"I3: the gate of {step.event.name} was opened before the kubelet had seen its generation"
    if cases and step.event.rv > trial.rules.since:
        trial.upgraded.add(step.event.uid)


def ready_is_honest(step: Step) -> Iterator[str]:
    """I3: never Ready with a container that is not."""
    pod = step.event.object
    if condition(pod, "Ready") == "True":
        for name, status in statuses(pod).items():
            if not status.get("ready"):
                yield f"I3: {step.event.name} is Ready while container {name} is not"


def same_address(step: Step) -> Iterator[str]:
    """I8: a pod keeps its IP for life."""
    old, new = ((o or {}).get("status", {}).get("podIP") for o in (step.before, step.event.object))
    if old and old != new and not finished(step.event.object):
        yield f"I8: the IP of {step.event.name} changed from {old} to {new}"


def labelled(step: Step) -> Iterator[str]:
    """A pod's revision label and its images change together: its controller goes by the label."""
    revision = carried(step.event.object, step.world)
    if revision is None or (step.before and told(step.before) == told(step.event.object)):
        return
    template = revision["data"]["spec"]["template"]
    meant, have = images(template), images(step.event.object)
    for name in sorted(n for n in meant if have.get(n) != meant[n]):
        of = f"labelled as of {revision['metadata']['name']}: {meant[name]}"
        yield f"{step.event.name} runs {name}={have.get(name)}, and is {of}"


def told(pod: Object) -> tuple[object, ...]:
    return images(pod), (pod["metadata"].get("labels") or {}).get(REVISION_HASH)


def carried(pod: Object, world: ClusterState) -> Object | None:
    """The ControllerRevision that a pod of a StatefulSet or DaemonSet is labelled with, by its name or by its hash."""
    label, parent = (pod["metadata"].get("labels") or {}).get(REVISION_HASH), owner(pod)
    for revision in world.all("ControllerRevision").values() if label else ():
        meta = revision["metadata"]
        if owner(revision) == parent and label in (meta["name"], meta["labels"].get(REVISION_HASH)):
            return revision
    return None


def one_replicaset(step: Step, trial: Trial) -> Iterator[str]:
    event, parent = step.event, owner(step.event.object)
    if not trial.rules.one_replicaset or parent is None or event.type == "DELETED":
        return
    first = trial.replicasets.setdefault(parent, event.uid)
    if step.event.rv <= trial.rules.since and has_pods(event.object):
        trial.replicasets[parent] = event.uid
    elif event.uid != first and has_pods(event.object) and not (step.before and has_pods(step.before)):
        yield f"ReplicaSet {event.name} got pods, though its owner had another"


def summary(log: list[Event], trial: Trial) -> Iterator[str]:
    """What can be said only of the whole log."""
    rules = trial.rules
    if rules.upgraded is not None and len(trial.upgraded) != rules.upgraded:
        yield f"{len(trial.upgraded)} pods were upgraded in place, not {rules.upgraded}"
    names, alive = {e.uid: e.name for e in log}, {u for u, p in end(log).all("Pod").items() if not terminating(p)}
    if rules.one_restart:
        for (uid, container), seen in restarts(log, rules.since).items():
            if uid in alive and not seen.one_for_each_change:
                yield (
                    f"I8: container {container} of {names[uid]} had {seen.image_changes} image changes, "
                    f"{seen.id_changes} new container ids and {seen.count_growth} restarts"
                )
    for uid in sorted(trial.upgraded, key=lambda u: names[u]):
        writes = writes_by_us(log, uid, rules.gate, rules.since)
        if rules.writes_per_pod is not None and writes != rules.writes_per_pod:
            yield f"{names[uid]} was written {writes} times by us, not {rules.writes_per_pod}"
