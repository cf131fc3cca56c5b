"""Which versions of an object did we write? Derived from managedFields, as the API server keeps no better witness.

A write renews the `time` of the writer's entry, in whole seconds. An entry that only lost fields, because another manager
took them over, keeps its time. So: whose time is new wrote. Where within one second no time is new, a changed gate, record
or image, or a change in the fields of our own entry, must be our second write of that second: the kubelet touches
none of these.
"""

from collections.abc import Iterable

from tests.recorder.history import replay
from tests.recorder.log import RECORD, Event, Object, annotation, condition, images

PREFIX = "inplace"


def writes_by_us(log: Iterable[Event], uid: str, gate: str = "inplace.dev/ready", since: int = 0) -> int:
    """How often we wrote the object after the resource version `since`."""
    steps = (s for s in replay(log) if s.event.uid == uid and s.event.rv > since)
    return sum(1 for s in steps if s.before and written_by(s.before, s.event.object, gate))


def written_by(before: Object, after: Object, gate: str, prefix: str = PREFIX) -> bool:
    """Whether a manager whose name starts with `prefix` wrote the version `after`."""
    old, new = entries(before), entries(after)
    fresh = [key for key, entry in new.items() if key not in old or entry.get("time") != old[key].get("time")]
    if fresh:
        return any(key[0].startswith(prefix) for key in fresh)
    mine = {key: entry for key, entry in new.items() if key[0].startswith(prefix)}
    return bool(mine) and (touched(before, gate) != touched(after, gate) or any(old[k] != mine[k] for k in mine))


def entries(obj: Object) -> dict[tuple[str, ...], Object]:
    listed = obj["metadata"].get("managedFields") or []
    return {(e.get("manager", ""), e.get("operation", ""), e.get("subresource", "")): e for e in listed}


def touched(obj: Object, gate: str) -> tuple[object, ...]:
    """What only we or a person change on a living pod."""
    pod = obj if "containers" in obj.get("spec", {}) else None
    return annotation(obj, RECORD), condition(obj, gate) if pod else None, images(pod)
