"""Which node may run which pod: by name, labels, taints. As much of scheduling as DaemonSets, cordoned and full nodes need."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from inplace.sim.objects.errors import Json
from inplace.sim.objects.selectors import selector_test
from inplace.sim.objects.store import StoredObject

HOST_NAME = "metadata.name"


def node_affinity(name: str) -> Json:
    """Bound to be scheduled to this node."""
    field = {"key": HOST_NAME, "operator": "In", "values": [name]}
    return {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchFields": [field]}]}}


def target_node(pod: Json) -> str:
    """Where a pod is, or must go; "" if it may go to several."""
    if pod["spec"].get("nodeName"):
        return str(pod["spec"]["nodeName"])
    names = [field["values"][0] for term in _terms(pod["spec"]) for field in term.get("matchFields") or ()]
    return str(names[0]) if len(names) == 1 else ""


def fits(spec: Json, node: StoredObject) -> bool:
    """Taints apart."""
    labels = node.meta.get("labels") or {}
    if spec.get("nodeName", node.name) != node.name or not (spec.get("nodeSelector") or {}).items() <= labels.items():
        return False
    terms = _terms(spec)
    return not terms or any(_meets(term, node) for term in terms)


def untolerated(spec: Json, node: StoredObject, effects: tuple[str, ...]) -> list[Json]:
    """Taints of these effects that keep the pod away."""
    taints = (node.obj.get("spec") or {}).get("taints") or ()
    have = spec.get("tolerations") or ()
    return [taint for taint in taints if taint["effect"] in effects and not any(tolerates(t, taint) for t in have)]


def tolerates(toleration: Json, taint: Json) -> bool:
    if toleration.get("effect", taint["effect"]) != taint["effect"]:
        return False
    if toleration.get("key", taint["key"]) != taint["key"]:
        return False
    return toleration.get("operator") == "Exists" or toleration.get("value", "") == taint.get("value", "")


def repelled(spec: Json, node: StoredObject, pods: Iterable[StoredObject]) -> bool:
    """By its own required podAntiAffinity: a node that runs such a pod of its namespace. As far as the node is the topology."""
    anti = (spec.get("affinity") or {}).get("podAntiAffinity") or {}
    terms = anti.get("requiredDuringSchedulingIgnoredDuringExecution") or ()
    selectors = [t["labelSelector"] for t in terms if t["topologyKey"] == "kubernetes.io/hostname"]
    there = [pod for pod in pods if pod.obj["spec"].get("nodeName") == node.name] if selectors else []
    return any(selector_test(selector)(pod.meta.get("labels") or {}) for selector in selectors for pod in there)


def _terms(spec: Json) -> list[Json]:
    required = ((spec.get("affinity") or {}).get("nodeAffinity") or {}).get("requiredDuringSchedulingIgnoredDuringExecution")
    return list((required or {}).get("nodeSelectorTerms") or ())


def _meets(term: Json, node: StoredObject) -> bool:
    labels = node.meta.get("labels") or {}
    fields = all(_holds(each, {HOST_NAME: node.name}) for each in term.get("matchFields") or ())
    return fields and all(_holds(each, labels) for each in term.get("matchExpressions") or ())


def _holds(wanted: Json, have: dict[str, Any]) -> bool:
    match wanted["operator"]:
        case "In":
            return have.get(wanted["key"]) in wanted["values"]
        case "NotIn":
            return have.get(wanted["key"]) not in wanted["values"]
        case "Exists":
            return wanted["key"] in have
        case "DoesNotExist":
            return wanted["key"] not in have
    return False
