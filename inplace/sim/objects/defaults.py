"""The values that the API server fills in. Only those that somebody reads: our product, kubectl, or the controllers here.

Always holds: an object that lacks nothing comes back as it is (`is`), so defaulting an object again costs little and makes
no difference.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

from inplace.sim.objects import structural_schema
from inplace.sim.objects.errors import Json
from inplace.sim.objects.kinds import (
    CUSTOM_RESOURCE_DEFINITIONS,
    DAEMON_SETS,
    DEPLOYMENTS,
    POD_DISRUPTION_BUDGETS,
    PODS,
    REPLICA_SETS,
    SECRETS,
    SERVICES,
    STATEFUL_SETS,
    Kind,
)

POD_SPEC: Json = {
    "restartPolicy": "Always",
    "terminationGracePeriodSeconds": 30,
    "dnsPolicy": "ClusterFirst",
    "securityContext": {},
    "schedulerName": "default-scheduler",
}
POD_ONLY: Json = {
    "serviceAccountName": "default",
    "serviceAccount": "default",
    "enableServiceLinks": True,
    "priority": 0,
    "preemptionPolicy": "PreemptLowerPriority",
    "tolerations": [
        {"key": f"node.kubernetes.io/{what}", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}
        for what in ("not-ready", "unreachable")
    ],
}
CONTAINER: Json = {
    "resources": {},
    "terminationMessagePath": "/dev/termination-log",
    "terminationMessagePolicy": "File",
}
PROBE: Json = {"timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3}
HTTP_GET: Json = {"path": "/", "scheme": "HTTP"}
PROBES = ("readinessProbe", "livenessProbe", "startupProbe")


def with_defaults(kind: Kind, obj: Json) -> Json:
    if kind.custom is not None:
        return structural_schema.completed(kind.custom.schema, obj)
    if kind is CUSTOM_RESOURCE_DEFINITIONS:
        return _replaced(obj, "spec", _definition(obj.get("spec") or {}))
    if kind is PODS:
        return _replaced(obj, "spec", _filled(pod_spec(obj.get("spec") or {}), POD_ONLY))
    if kind in WORKLOADS:
        return _replaced(obj, "spec", WORKLOADS[kind](_templated(obj.get("spec") or {})))
    if kind is SECRETS:
        return _secret(obj)
    if kind is SERVICES:
        return _replaced(obj, "spec", _service(obj.get("spec") or {}))
    if kind is POD_DISRUPTION_BUDGETS and "maxUnavailable" not in obj.get("spec", {}):
        return _replaced(obj, "spec", _filled(obj.get("spec") or {}, {"minAvailable": 1}))
    return obj


def pod_spec(spec: Json) -> Json:
    spec = _filled(spec, POD_SPEC)
    for field in ("initContainers", "containers"):
        if field in spec:
            spec = _replaced(spec, field, _each(spec[field], _container))
    return spec


def _templated(spec: Json) -> Json:
    template = spec.get("template")
    if not isinstance(template, dict):
        return spec
    made = _replaced(template, "spec", pod_spec(template.get("spec") or {}))
    made = _replaced(made, "metadata", made.get("metadata") or {})
    return _replaced(spec, "template", made)


def _deployment(spec: Json) -> Json:
    spec = _filled(spec, {"replicas": 1, "revisionHistoryLimit": 10, "progressDeadlineSeconds": 600})
    strategy = _filled(spec.get("strategy") or {}, {"type": "RollingUpdate"})
    if strategy["type"] == "RollingUpdate":
        rolling = _filled(strategy.get("rollingUpdate") or {}, {"maxUnavailable": "25%", "maxSurge": "25%"})
        strategy = _replaced(strategy, "rollingUpdate", rolling)
    return _replaced(spec, "strategy", strategy)


def _replica_set(spec: Json) -> Json:
    return _filled(spec, {"replicas": 1})


def _stateful_set(spec: Json) -> Json:
    """Of a real 1.36: maxUnavailable is dropped, since its feature gate is off; a given type leaves rollingUpdate out."""
    spec = _filled(spec, {"podManagementPolicy": "OrderedReady", "replicas": 1, "revisionHistoryLimit": 10})
    strategy = spec.get("updateStrategy") or {}
    if not strategy.get("type"):
        strategy = {"rollingUpdate": {}, **strategy, "type": "RollingUpdate"}
    rolling = strategy.get("rollingUpdate")
    if strategy["type"] == "RollingUpdate" and rolling is not None:
        kept = {key: v for key, v in rolling.items() if key != "maxUnavailable"}
        strategy = _replaced(strategy, "rollingUpdate", _filled(rolling if kept == rolling else kept, {"partition": 0}))
    policy = _filled(spec.get("persistentVolumeClaimRetentionPolicy") or {}, {"whenDeleted": "Retain", "whenScaled": "Retain"})
    return _replaced(_replaced(spec, "updateStrategy", strategy), "persistentVolumeClaimRetentionPolicy", policy)


def _daemon_set(spec: Json) -> Json:
    spec = _filled(spec, {"revisionHistoryLimit": 10})
    strategy = _filled(spec.get("updateStrategy") or {}, {"type": "RollingUpdate"})
    if strategy["type"] == "RollingUpdate":
        rolling = _filled(strategy.get("rollingUpdate") or {}, {"maxUnavailable": 1, "maxSurge": 0})
        strategy = _replaced(strategy, "rollingUpdate", rolling)
    return _replaced(spec, "updateStrategy", strategy)


WORKLOADS: dict[Kind, Callable[[Json], Json]] = {
    DEPLOYMENTS: _deployment,
    REPLICA_SETS: _replica_set,
    STATEFUL_SETS: _stateful_set,
    DAEMON_SETS: _daemon_set,
}


def _container(container: Json) -> Json:
    policy = "Always" if _is_latest(str(container.get("image", ""))) else "IfNotPresent"
    container = _filled(container, CONTAINER)
    container = _filled(container, {"imagePullPolicy": policy})
    if container.get("ports"):
        container = _replaced(container, "ports", _each(container["ports"], lambda p: _filled(p, {"protocol": "TCP"})))
    for field in PROBES:
        probe = container.get(field)
        if probe:
            if "httpGet" in probe:
                probe = _replaced(probe, "httpGet", _filled(probe["httpGet"], HTTP_GET))
            container = _replaced(container, field, _filled(probe, PROBE))
    return container


def _is_latest(image: str) -> bool:
    tag = image.rpartition("/")[2].partition("@")[0].partition(":")[2]
    return "@" not in image and tag in ("", "latest")


def _service(spec: Json) -> Json:
    spec = _filled(spec, {"type": "ClusterIP", "sessionAffinity": "None", "internalTrafficPolicy": "Cluster"})
    spec = _filled(spec, {"ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack"})
    ports = _each(spec.get("ports") or [], lambda p: _filled(p, {"protocol": "TCP", "targetPort": p.get("port")}))
    return _replaced(spec, "ports", ports) if ports else spec


def _definition(spec: Json) -> Json:
    names = spec.get("names") or {}
    kind = str(names.get("kind", ""))
    names = _filled(names, {"singular": kind.lower(), "listKind": f"{kind}List"})
    return _filled(_replaced(spec, "names", names), {"conversion": {"strategy": "None"}})


def _secret(obj: Json) -> Json:
    """Plain strings are only a way to write."""
    given = obj.get("stringData")
    if given:
        encoded = {key: base64.b64encode(str(value).encode()).decode() for key, value in given.items()}
        obj = {key: value for key, value in obj.items() if key != "stringData"}
        obj["data"] = {**(obj.get("data") or {}), **encoded}
    return _filled(obj, {"type": "Opaque"})


def _filled(obj: Json, defaults: Json) -> Json:
    missing = {key: value for key, value in defaults.items() if obj.get(key) is None}
    return {**obj, **missing} if missing else obj


def _replaced(obj: Json, key: str, value: Any) -> Json:
    return obj if obj.get(key) is value else {**obj, key: value}


def _each(items: list[Json], change: Any) -> list[Json]:
    made = [change(item) for item in items]
    return items if all(a is b for a, b in zip(made, items, strict=True)) else made
