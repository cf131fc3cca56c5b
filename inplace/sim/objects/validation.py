"""What the API server refuses to store. Has only the rules that our clients may run into, with the texts of a real 1.36."""

from __future__ import annotations

import json
import re

from inplace.sim.objects import structural_schema
from inplace.sim.objects.errors import Json, StatusError, bad_request, invalid
from inplace.sim.objects.kinds import (
    CONTROLLER_REVISIONS,
    DAEMON_SETS,
    DEPLOYMENTS,
    LEASES,
    PODS,
    REPLICA_SETS,
    STATEFUL_SETS,
    Kind,
)
from inplace.sim.objects.selectors import selector_test

Cause = tuple[str, str, str]

POD_UPDATES = (
    "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
    "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)
ANNOTATIONS_LIMIT_BYTES = 256 * 1024
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
_MICRO_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}(Z|[+-]\d\d:\d\d)")
_DNS = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end "
    "with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)


def check(kind: Kind, new: Json, old: Json | None) -> None:
    """Raises `Refusal`."""
    causes = (_name_causes(new) if old is None else []) + _annotation_causes(new, old)
    if kind.custom is not None:
        causes += structural_schema.causes(kind.custom.schema, new, old)
    elif kind is PODS:
        causes += _pod_causes(new, old)
    elif kind in (DEPLOYMENTS, REPLICA_SETS, STATEFUL_SETS, DAEMON_SETS):
        causes += _workload_causes(kind, new, old)
    elif kind is CONTROLLER_REVISIONS and old is not None and new.get("data") != old.get("data"):
        causes.append(("data", "FieldValueInvalid", f"Invalid value: {_shown(new.get('data'))}: field is immutable"))
    elif kind is LEASES:
        _check_lease(new)
    if causes:
        raise invalid(kind.kind, kind.group, str(new["metadata"].get("name", "")), *causes)


def uid_is_immutable(kind: Kind, name: str, uid: str) -> StatusError:
    """The real server says it twice."""
    cause = ("metadata.uid", "FieldValueInvalid", f'Invalid value: "{uid}": field is immutable')
    return invalid(kind.kind, kind.group, name, cause, cause)


def _name_causes(new: Json) -> list[Cause]:
    name = str(new["metadata"].get("name", ""))
    if not name:
        return [("metadata.name", "FieldValueRequired", "Required value: name or generateName is required")]
    if not _NAME.fullmatch(name):
        return [("metadata.name", "FieldValueInvalid", f'Invalid value: "{name}": {_DNS}')]
    return []


def _annotation_causes(new: Json, old: Json | None) -> list[Cause]:
    """Keys and values together, in bytes (measured)."""
    have = new["metadata"].get("annotations") or {}
    if not have or (old is not None and have == old["metadata"].get("annotations")):
        return []
    if sum(len(f"{key}{value}".encode()) for key, value in have.items()) <= ANNOTATIONS_LIMIT_BYTES:
        return []
    return [("metadata.annotations", "FieldValueTooLong", f"Too long: may not be more than {ANNOTATIONS_LIMIT_BYTES} bytes")]


def _pod_causes(new: Json, old: Json | None) -> list[Cause]:
    spec = new.get("spec") or {}
    if old is not None and spec is old["spec"]:
        return []
    causes = _image_causes(spec, "spec")
    if old is None:
        return causes or _container_causes(spec, "spec")
    before = old["spec"]
    for field in ("containers", "initContainers"):
        if len(spec.get(field) or ()) != len(before.get(field) or ()):
            return [(f"spec.{field}", "FieldValueForbidden", "Forbidden: pod updates may not add or remove containers")]
    if not causes and _fixed(spec) != _fixed(before):
        causes.append(("spec", "FieldValueForbidden", f"Forbidden: {POD_UPDATES}\n"))
    have = spec.get("tolerations") or ()
    if not causes and any(toleration not in have for toleration in before.get("tolerations") or ()):
        causes.append(("spec.tolerations", "FieldValueForbidden", "Forbidden: existing tolerations can not be modified"))
    return causes * 2


def _fixed(spec: Json) -> Json:
    """What of a pod's spec may never change. The scheduler binds by another way."""
    free = ("containers", "initContainers", "activeDeadlineSeconds", "tolerations", "nodeName")
    kept = {key: value for key, value in spec.items() if key not in free}
    for field in ("containers", "initContainers"):
        kept[field] = [{k: v for k, v in c.items() if k != "image"} for c in spec.get(field) or ()]
    return kept


def _image_causes(spec: Json, path: str) -> list[Cause]:
    return [
        (f"{path}.{field}[{at}].image", "FieldValueRequired", "Required value")
        for field in ("containers", "initContainers")
        for at, container in enumerate(spec.get(field) or ())
        if not container.get("image")
    ]


def _container_causes(spec: Json, path: str) -> list[Cause]:
    if not spec.get("containers"):
        return [(f"{path}.containers", "FieldValueRequired", "Required value")]
    names = [c.get("name", "") for c in [*(spec.get("initContainers") or ()), *spec["containers"]]]
    return [
        (f"{path}.containers[{at}].name", "FieldValueDuplicate", f'Duplicate value: "{name}"')
        for at, name in enumerate(names)
        if name in names[:at]
    ]


def _workload_causes(kind: Kind, new: Json, old: Json | None) -> list[Cause]:
    spec, before = new.get("spec") or {}, (old or {}).get("spec")
    if spec is before:
        return []
    template = spec.get("template") or {}
    causes: list[Cause] = []
    if not spec.get("selector"):
        causes.append(("spec.selector", "FieldValueRequired", "Required value"))
    labels = (template.get("metadata") or {}).get("labels") or {}
    if spec.get("selector") and not selector_test(spec["selector"])(labels):
        text = f"Invalid value: {_shown(labels)}: `selector` does not match template `labels`"
        causes.append(("spec.template.metadata.labels", "FieldValueInvalid", text))
    pod_spec = template.get("spec") or {}
    if before is None or pod_spec is not before["template"]["spec"]:
        path = "spec.template.spec"
        causes += _container_causes(pod_spec, path) or _image_causes(pod_spec, path)
    if kind is DEPLOYMENTS and spec["strategy"]["type"] == "Recreate" and "rollingUpdate" in spec["strategy"]:
        text = "Forbidden: may not be specified when strategy `type` is 'Recreate'"
        causes.append(("spec.strategy.rollingUpdate", "FieldValueForbidden", text))
    if "replicas" in spec and spec["replicas"] < 0:
        causes.append(_negative("spec.replicas", spec["replicas"]))
    if kind in (STATEFUL_SETS, DAEMON_SETS):
        causes += _always_restarts(pod_spec)
    if kind is STATEFUL_SETS:
        return causes + _stateful_set_causes(spec, before)
    if before is not None and spec.get("selector") != before.get("selector"):
        text = f"Invalid value: {_shown(spec.get('selector'))}: field is immutable"
        causes.append(("spec.selector", "FieldValueInvalid", text))
    return causes + (_daemon_set_causes(spec) if kind is DAEMON_SETS else [])


STATEFUL_SET_FREE = (
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
)
STATEFUL_SET_UPDATES = (
    "Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', "
    "'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"
)


def _stateful_set_causes(spec: Json, before: Json | None) -> list[Cause]:
    causes: list[Cause] = []
    strategy, path = spec["updateStrategy"], "spec.updateStrategy"
    rolling = strategy.get("rollingUpdate")
    shown = "null" if rolling is None else f'{{"Partition":{rolling.get("partition", 0)},"MaxUnavailable":null}}'
    if strategy["type"] not in ("RollingUpdate", "OnDelete"):
        shown = f'{{"Type":{_shown(strategy["type"])},"RollingUpdate":{shown}}}'
        causes.append((path, "FieldValueInvalid", f"Invalid value: {shown}: must be 'RollingUpdate' or 'OnDelete'"))
    elif strategy["type"] == "OnDelete" and rolling is not None:
        text = f"Invalid value: {shown}: only allowed for updateStrategy 'RollingUpdate'"
        causes.append((f"{path}.rollingUpdate", "FieldValueInvalid", text))
    elif rolling is not None and rolling["partition"] < 0:
        causes.append(_negative(f"{path}.rollingUpdate.partition", rolling["partition"]))
    if (start := (spec.get("ordinals") or {}).get("start", 0)) < 0:
        causes.append(_negative("spec.ordinals.start", start))
    if before is not None and _without(spec, STATEFUL_SET_FREE) != _without(before, STATEFUL_SET_FREE):
        causes.append(("spec", "FieldValueForbidden", STATEFUL_SET_UPDATES))
    return causes


def _daemon_set_causes(spec: Json) -> list[Cause]:
    strategy, path = spec["updateStrategy"], "spec.updateStrategy"
    if strategy["type"] == "OnDelete":
        return []
    if strategy["type"] != "RollingUpdate":
        text = f'Unsupported value: {_shown(strategy["type"])}: supported values: "RollingUpdate", "OnDelete"'
        return [(path, "FieldValueNotSupported", text)]
    surge, unavailable = (strategy["rollingUpdate"][name] for name in ("maxSurge", "maxUnavailable"))
    nothing = (0, "0%")
    if surge not in nothing and unavailable not in nothing:
        text = f"Invalid value: {_shown(surge)}: may not be set when maxUnavailable is non-zero"
        return [(f"{path}.rollingUpdate.maxSurge", "FieldValueInvalid", text)]
    if surge in nothing and unavailable in nothing:
        text = "Required value: cannot be 0 when maxSurge is 0"
        return [(f"{path}.rollingUpdate.maxUnavailable", "FieldValueRequired", text)]
    return []


def _always_restarts(pod_spec: Json) -> list[Cause]:
    policy = pod_spec.get("restartPolicy")
    if policy == "Always":
        return []
    text = f'Unsupported value: "{policy}": supported values: "Always"'
    return [("spec.template.spec.restartPolicy", "FieldValueNotSupported", text)]


def _negative(path: str, value: int) -> Cause:
    return path, "FieldValueInvalid", f"Invalid value: {value}: must be greater than or equal to 0"


def _without(obj: Json, names: tuple[str, ...]) -> Json:
    return {key: value for key, value in obj.items() if key not in names}


def _shown(value: object) -> str:
    """As Go prints a map in JSON."""
    return json.dumps(value, separators=(",", ":"), sort_keys=True)


def _check_lease(new: Json) -> None:
    for field in ("renewTime", "acquireTime"):
        text = (new.get("spec") or {}).get(field)
        if text is not None and not _MICRO_TIME.fullmatch(str(text)):
            raise bad_request(
                f'Lease in version "v1" cannot be handled as a Lease: parsing time "{text}" as '
                f'"2006-01-02T15:04:05.000000Z07:00": cannot parse "{text}"'
            )
