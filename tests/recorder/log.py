"""The log's entries, and how to read the few facts in them that the rules are about."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Object = dict[str, Any]

RECORD, HOLDS = "inplace.dev/upgrade", "inplace.dev/holds"


@dataclass(frozen=True)
class Event:
    """One version of one object. `arrival` is for people only: two watches race, only resource versions can be compared."""

    kind: str
    rv: int
    type: str
    object: Object
    arrival: float = 0.0

    @property
    def uid(self) -> str:
        return str(self.object["metadata"]["uid"])

    @property
    def name(self) -> str:
        return str(self.object["metadata"]["name"])


def event(kind: str, type_: str, obj: Object, arrival: float) -> Event:
    """The event with all that no rule reads left out of its object."""
    meta = {k: v for k, v in obj["metadata"].items() if k != "managedFields"}
    meta["managedFields"] = [slim_fields(f) for f in obj["metadata"].get("managedFields", [])]
    return Event(kind, int(meta["resourceVersion"]), type_, {**obj, "metadata": meta}, arrival)


def slim_fields(entry: Object) -> Object:
    """Field sets are bulky, and only those of our own managers are ever compared."""
    ours = str(entry.get("manager", "")).startswith("inplace")
    return {k: json.dumps(v, sort_keys=True) if k == "fieldsV1" else v for k, v in entry.items() if ours or k != "fieldsV1"}


def annotation(obj: Object, key: str) -> str | None:
    value: str | None = (obj["metadata"].get("annotations") or {}).get(key)
    return value


def condition(pod: Object | None, kind: str) -> str | None:
    """The status of a condition; None where it is absent."""
    for found in (pod or {}).get("status", {}).get("conditions") or []:
        if found["type"] == kind:
            return str(found["status"])
    return None


def terminating(obj: Object) -> bool:
    return "deletionTimestamp" in obj["metadata"]


def finished(pod: Object) -> bool:
    return pod.get("status", {}).get("phase") in ("Succeeded", "Failed")


def containers(pod: Object) -> Iterator[Object]:
    """Those of the spec that run next to each other: containers and sidecars, but no plain init containers."""
    yield from pod["spec"].get("containers") or []
    yield from (c for c in pod["spec"].get("initContainers") or [] if c.get("restartPolicy") == "Always")


def images(pod: Object | None) -> dict[str, str]:
    return {c["name"]: c["image"] for c in containers(pod)} if pod else {}


def statuses(pod: Object) -> dict[str, Object]:
    """The status of each container, sidecars included."""
    status, running = pod.get("status", {}), {c["name"] for c in containers(pod)}
    listed = [*(status.get("containerStatuses") or []), *(status.get("initContainerStatuses") or [])]
    return {s["name"]: s for s in listed if s["name"] in running}


def container_ids(pod: Object | None) -> dict[str, str]:
    return {n: s["containerID"] for n, s in statuses(pod).items() if s.get("containerID")} if pod else {}


def owner(obj: Object) -> str | None:
    """The uid of the controller."""
    for reference in obj["metadata"].get("ownerReferences") or []:
        if reference.get("controller"):
            return str(reference["uid"])
    return None
