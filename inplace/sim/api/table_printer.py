"""What `kubectl get` shows: the server prints, in columns with the names and the texts of a real 1.36."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from inplace.sim.api.pod_printer import pod_cells
from inplace.sim.objects import kinds as k
from inplace.sim.objects.errors import Json
from inplace.sim.objects.kinds import Kind
from inplace.sim.objects.selectors import selector_text
from inplace.sim.objects.store import StoredObject, encode

NONE = "<none>"
Cells = Callable[[Json, datetime], list[Any]]


def is_table_wanted(accept: str) -> bool:
    return "as=Table" in accept.partition(",")[0]


def table(kind: Kind, items: list[StoredObject], now: datetime, meta: Json, query: Mapping[str, str]) -> Json:
    definitions, cells = _printer(kind)
    rows = [{"cells": cells(item.obj, now), "object": _row_object(item.obj, query)} for item in items]
    return {"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": meta, "columnDefinitions": definitions, "rows": rows}


def _printer(kind: Kind) -> tuple[list[Json], Cells]:
    if kind.custom is not None and kind.custom.columns:
        return _custom_printer(kind.custom.columns)
    columns, cells = PRINTERS.get(kind, (NAME_AND_AGE, _name_and_age))
    return [_definition(column) for column in columns], cells


def _custom_printer(columns: tuple[Json, ...]) -> tuple[list[Json], Cells]:
    """`additionalPrinterColumns`; of JSONPath only plain fields."""
    usual = {"format": "", "description": "", "priority": 0}
    shown = [{**usual, **{key: v for key, v in column.items() if key != "jsonPath"}} for column in columns]
    return [_definition("Name"), *shown], lambda obj, now: [_name(obj), *(_custom_cell(obj, column, now) for column in columns)]


def _custom_cell(obj: Json, column: Json, now: datetime) -> Any:
    value: Any = obj
    for field in column["jsonPath"].removeprefix(".").split("."):
        value = value.get(field) if isinstance(value, dict) else None
    return age(value, now) if column["type"] == "date" and value is not None else value


def scale_table(scale: Json, now: datetime, query: Mapping[str, str]) -> Json:
    cells = [_name(scale), scale["spec"]["replicas"], scale["status"]["replicas"], _created(scale, now)]
    definitions = [_definition(column) for column in ("Name", "Desired#", "Available#", "Age")]
    rows = [{"cells": cells, "object": _row_object(scale, query)}]
    return {"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": {}, "columnDefinitions": definitions, "rows": rows}


def table_line(kind: Kind, now: Callable[[], datetime], query: Mapping[str, str]) -> Callable[[str, StoredObject], bytes]:
    """Makes lines for a watch; only the first has the columns, as kubectl expects."""
    is_first = True

    def line(what: str, item: StoredObject) -> bytes:
        nonlocal is_first
        made = table(kind, [item], now(), {"resourceVersion": item.meta.get("resourceVersion", "")}, query)
        if not is_first:
            made["columnDefinitions"] = None
        is_first = False
        return encode({"type": what, "object": made}) + b"\n"

    return line


def age(stamp: str | None, now: datetime) -> str:
    """As kubectl writes durations: 108s, 2m11s, 5h3m, 2d4h."""
    if not stamp:
        return "<unknown>"
    then = datetime.fromisoformat(stamp.replace("Z", "+00:00")).astimezone(UTC)
    seconds = int((now - then).total_seconds())
    if seconds < 0:
        return "0s" if seconds > -2 else "<invalid>"
    if seconds < 120:
        return f"{seconds}s"
    minutes = seconds // 60
    if minutes < 10:
        return f"{minutes}m{seconds % 60}s" if seconds % 60 else f"{minutes}m"
    if minutes < 180:
        return f"{minutes}m"
    hours = minutes // 60
    if hours < 8:
        return f"{hours}h{minutes % 60}m" if minutes % 60 else f"{hours}h"
    if hours < 48:
        return f"{hours}h"
    days = hours // 24
    if days < 8:
        return f"{days}d{hours % 24}h" if hours % 24 else f"{days}d"
    return f"{days}d"


def _definition(column: str) -> Json:
    """`-` before a name: only for -o wide; `#` after it: a number."""
    name = column.strip("-#")
    kind = "integer" if column.endswith("#") else "string"
    shown = {"format": "name" if name == "Name" else "", "description": "", "priority": 1 if column.startswith("-") else 0}
    return {"name": name.replace("_", " "), "type": kind, **shown}


def _row_object(obj: Json, query: Mapping[str, str]) -> Json | None:
    match query.get("includeObject", "Metadata"):
        case "None":
            return None
        case "Object":
            return obj
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": obj["metadata"]}


def _created(obj: Json, now: datetime) -> str:
    return age(obj["metadata"].get("creationTimestamp"), now)


def _name(obj: Json) -> str:
    return str(obj["metadata"]["name"])


def _name_and_age(obj: Json, now: datetime) -> list[Any]:
    return [_name(obj), _created(obj, now)]


def _containers(spec: Json) -> list[str]:
    containers = spec.get("containers") or ()
    return [",".join(c["name"] for c in containers), ",".join(c.get("image", "") for c in containers)]


def _deployment(obj: Json, now: datetime) -> list[Any]:
    spec, status = obj["spec"], obj.get("status") or {}
    ready = f"{status.get('readyReplicas', 0)}/{spec.get('replicas', 0)}"
    counts = [status.get("updatedReplicas", 0), status.get("availableReplicas", 0)]
    rest = [*_containers(spec["template"]["spec"]), selector_text(spec.get("selector"))]
    return [_name(obj), ready, *counts, _created(obj, now), *rest]


def _replica_set(obj: Json, now: datetime) -> list[Any]:
    spec, status = obj["spec"], obj.get("status") or {}
    counts = [spec.get("replicas", 0), status.get("replicas", 0), status.get("readyReplicas", 0)]
    return [
        _name(obj),
        *counts,
        _created(obj, now),
        *_containers(spec["template"]["spec"]),
        selector_text(spec.get("selector")),
    ]


def _stateful_set(obj: Json, now: datetime) -> list[Any]:
    spec, status = obj["spec"], obj.get("status") or {}
    ready = f"{status.get('readyReplicas', 0)}/{spec.get('replicas', 0)}"
    return [_name(obj), ready, _created(obj, now), *_containers(spec["template"]["spec"])]


def _daemon_set(obj: Json, now: datetime) -> list[Any]:
    spec, status = obj["spec"], obj.get("status") or {}
    fields = ("desiredNumberScheduled", "currentNumberScheduled", "numberReady", "updatedNumberScheduled", "numberAvailable")
    nodes = _labels(spec["template"]["spec"].get("nodeSelector"))
    rest = [*_containers(spec["template"]["spec"]), selector_text(spec.get("selector"))]
    return [_name(obj), *(status.get(field, 0) for field in fields), nodes, _created(obj, now), *rest]


def _controller_revision(obj: Json, now: datetime) -> list[Any]:
    owner = next((o for o in obj["metadata"].get("ownerReferences") or () if o.get("controller")), None)
    named = NONE
    if owner is not None:
        group = owner["apiVersion"].rpartition("/")[0]
        named = f"{owner['kind'].lower()}{'.' + group if group else ''}/{owner['name']}"
    return [_name(obj), named, str(obj["revision"]), _created(obj, now)]


def _labels(labels: Json | None) -> str:
    return ",".join(f"{key}={v}" for key, v in sorted((labels or {}).items())) or NONE


def _service(obj: Json, now: datetime) -> list[Any]:
    spec = obj["spec"]
    ports = ",".join(f"{p['port']}/{p.get('protocol', 'TCP')}" for p in spec.get("ports") or ()) or NONE
    selector = _labels(spec.get("selector"))
    external = spec.get("externalName") or ",".join(spec.get("externalIPs") or ()) or NONE
    return [_name(obj), spec.get("type"), spec.get("clusterIP") or NONE, external, ports, _created(obj, now), selector]


def _node(obj: Json, now: datetime) -> list[Any]:
    status, info = obj.get("status") or {}, (obj.get("status") or {}).get("nodeInfo") or {}
    ready = next((c["status"] for c in status.get("conditions") or () if c["type"] == "Ready"), "Unknown")
    shown = "Ready" if ready == "True" else "NotReady"
    if obj.get("spec", {}).get("unschedulable"):
        shown += ",SchedulingDisabled"
    ip = next((a["address"] for a in status.get("addresses") or () if a["type"] == "InternalIP"), NONE)
    system = [info.get("osImage", ""), info.get("kernelVersion", ""), info.get("containerRuntimeVersion", "")]
    return [_name(obj), shown, NONE, _created(obj, now), info.get("kubeletVersion", ""), ip, NONE, *system]


def _namespace(obj: Json, now: datetime) -> list[Any]:
    return [_name(obj), obj["status"].get("phase", ""), _created(obj, now)]


def _endpoint_slice(obj: Json, now: datetime) -> list[Any]:
    ports = [str(p.get("port", "*")) for p in obj.get("ports") or ()]
    addresses = [a for e in obj.get("endpoints") or () for a in e.get("addresses") or ()]
    return [
        _name(obj),
        obj.get("addressType", ""),
        _listed(ports, "<unset>"),
        _listed(addresses, "<unset>"),
        _created(obj, now),
    ]


def _listed(items: list[str], empty: str) -> str:
    more = f" + {len(items) - 3} more..." if len(items) > 3 else ""
    return (",".join(items[:3]) + more) if items else empty


def _lease(obj: Json, now: datetime) -> list[Any]:
    return [_name(obj), (obj.get("spec") or {}).get("holderIdentity") or "", _created(obj, now)]


def _event(obj: Json, now: datetime) -> list[Any]:
    regarding, source = obj.get("involvedObject") or {}, obj.get("source") or {}
    named = f"{str(regarding.get('kind', '')).lower()}/{regarding.get('name', '')}"
    parts = [source.get("component") or obj.get("reportingComponent", ""), source.get("host", "")]
    last = age(obj.get("lastTimestamp") or obj["metadata"].get("creationTimestamp"), now)
    first = age(obj.get("firstTimestamp") or obj["metadata"].get("creationTimestamp"), now)
    origin = ", ".join(filter(None, parts))
    head = [last, obj.get("type", ""), obj.get("reason", ""), named, regarding.get("fieldPath", ""), origin]
    return [*head, str(obj.get("message", "")).strip(), first, obj.get("count", 1), _name(obj)]


def _budget(obj: Json, now: datetime) -> list[Any]:
    spec = obj["spec"]
    limits = [str(spec.get("minAvailable", "N/A")), str(spec.get("maxUnavailable", "N/A"))]
    return [_name(obj), *limits, (obj.get("status") or {}).get("disruptionsAllowed", 0), _created(obj, now)]


def _config_map(obj: Json, now: datetime) -> list[Any]:
    return [_name(obj), len(obj.get("data") or {}) + len(obj.get("binaryData") or {}), _created(obj, now)]


def _secret(obj: Json, now: datetime) -> list[Any]:
    return [_name(obj), obj.get("type", "Opaque"), len(obj.get("data") or {}), _created(obj, now)]


NAME_AND_AGE = ("Name", "Age")
PRINTERS: dict[Kind, tuple[tuple[str, ...], Cells]] = {
    k.PODS: (
        ("Name", "Ready", "Status", "Restarts", "Age", "-IP", "-Node", "-Nominated_Node", "-Readiness_Gates"),
        lambda obj, now: pod_cells(obj, now, age),
    ),
    k.DEPLOYMENTS: (
        ("Name", "Ready", "Up-to-date", "Available", "Age", "-Containers", "-Images", "-Selector"),
        _deployment,
    ),
    k.REPLICA_SETS: (("Name", "Desired#", "Current#", "Ready#", "Age", "-Containers", "-Images", "-Selector"), _replica_set),
    k.STATEFUL_SETS: (("Name", "Ready", "Age", "-Containers", "-Images"), _stateful_set),
    k.DAEMON_SETS: (
        ("Name", "Desired#", "Current#", "Ready#", "Up-to-date#", "Available#", "Node_Selector", "Age", "-Containers",
         "-Images", "-Selector"),
        _daemon_set,
    ),
    k.CONTROLLER_REVISIONS: (("Name", "Controller", "Revision", "Age"), _controller_revision),
    k.SERVICES: (("Name", "Type", "Cluster-IP", "External-IP", "Port(s)", "Age", "-Selector"), _service),
    k.NODES: (
        ("Name", "Status", "Roles", "Age", "Version", "-Internal-IP", "-External-IP", "-OS-Image", "-Kernel-Version",
         "-Container-Runtime"),
        _node,
    ),
    k.NAMESPACES: (("Name", "Status", "Age"), _namespace),
    k.ENDPOINT_SLICES: (("Name", "AddressType", "Ports", "Endpoints", "Age"), _endpoint_slice),
    k.LEASES: (("Name", "Holder", "Age"), _lease),
    k.EVENTS: (
        ("Last_Seen", "Type", "Reason", "Object", "-Subobject", "-Source", "Message", "-First_Seen", "-Count", "-Name"),
        _event,
    ),
    k.POD_DISRUPTION_BUDGETS: (("Name", "Min_Available", "Max_Unavailable", "Allowed_Disruptions#", "Age"), _budget),
    k.CONFIG_MAPS: (("Name", "Data", "Age"), _config_map),
    k.SECRETS: (("Name", "Type", "Data#", "Age"), _secret),
}  # fmt: skip
