"""Admission policies that a scenario puts on its namespace, said once for both clusters.

A real one gets them as a MutatingAdmissionPolicy or a ValidatingAdmissionPolicy with its binding, the embedded one as a plugin.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from inplace.sim.api.admission import Attributes, Operation, Plugin
from inplace.sim.objects.errors import StatusError, details, qualified
from tests.recorder import Object

BOTH: tuple[Operation, ...] = ("CREATE", "UPDATE")
GROUP = "admissionregistration.k8s.io/v1"


@dataclass(frozen=True)
class Rewrites:
    """Containers of `resource` (such as `pods`, `deployments`) that ask for `image` get `becomes`."""

    name: str
    resource: str
    image: str
    becomes: str
    operations: tuple[Operation, ...] = BOTH


@dataclass(frozen=True)
class Refuses:
    """Writes of `resource` (such as `replicasets`, `pods/status`), if an image is given those that ask for it. `of_people`: the
    cluster's own controllers may, which are told by naming no field manager."""

    name: str
    resource: str
    message: str
    image: str = ""
    operations: tuple[Operation, ...] = BOTH
    of_people: bool = False


Policy = Rewrites | Refuses


def plugin(policy: Policy, namespace: str) -> Plugin:
    """Of the embedded API server."""

    def admit(asked: Attributes) -> Object:
        resource = f"{asked.kind.plural}/{asked.subresource}" if asked.subresource else asked.kind.plural
        if (asked.namespace, resource) != (namespace, policy.resource) or asked.operation not in policy.operations:
            return asked.obj
        match policy:
            case Rewrites():
                return _rewritten(asked.obj, policy)
            case Refuses():
                is_exempt = policy.of_people and asked.manager is None
                if not is_exempt and (not policy.image or policy.image in images_of(asked.obj)):
                    raise _denied(asked, f"{namespace}-{policy.name}", policy.message)
                return asked.obj

    return admit


def _denied(asked: Attributes, policy: str, message: str) -> StatusError:
    """In the words of a real 1.36."""
    plural, group, name = asked.kind.plural, asked.kind.group, str(asked.obj["metadata"].get("name", ""))
    why = f"ValidatingAdmissionPolicy '{policy}' with binding '{policy}' denied request: {message}"
    text = f'{qualified(plural, group)} "{name}" is forbidden: {why}'
    return StatusError(422, "Invalid", text, details(plural, group, name, causes=[{"message": why}]))


def images_of(obj: Object) -> list[str]:
    return [container["image"] for container in _pod_spec(obj).get("containers") or ()]


def _pod_spec(obj: Object) -> Object:
    spec: Object = obj.get("spec") or {}
    return (spec.get("template") or {}).get("spec") or {} if "template" in spec else spec


def _rewritten(obj: Object, policy: Rewrites) -> Object:
    if policy.image not in images_of(obj):
        return obj
    spec = _pod_spec(obj)
    containers = [{**c, "image": policy.becomes} if c["image"] == policy.image else c for c in spec["containers"]]
    made = {**spec, "containers": containers}
    if "template" not in obj["spec"]:
        return {**obj, "spec": made}
    return {**obj, "spec": {**obj["spec"], "template": {**obj["spec"]["template"], "spec": made}}}


def manifests(policy: Policy, namespace: str) -> Iterator[Object]:
    """For a real API server: the policy, then its binding."""
    kind = "MutatingAdmissionPolicy" if isinstance(policy, Rewrites) else "ValidatingAdmissionPolicy"
    name = f"{namespace}-{policy.name}"
    path = "spec" if policy.resource.startswith("pods") else "spec.template.spec"
    conditions = []
    if policy.image:
        here = f"object.{path}.containers.exists(c, c.image == {json.dumps(policy.image)})"
        conditions.append({"name": "image", "expression": here})
    if isinstance(policy, Refuses) and policy.of_people:
        people = "has(request.options.fieldManager)"
        conditions.append({"name": "people", "expression": people})
    group = "" if policy.resource.startswith("pods") else "apps"
    rule = {"apiGroups": [group], "apiVersions": ["v1"], "operations": [*policy.operations], "resources": [policy.resource]}
    spec: dict[str, Any] = {
        "failurePolicy": "Fail",
        "matchConstraints": {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
            "resourceRules": [rule],
        },
        "matchConditions": conditions,
    }
    match policy:
        case Rewrites():
            mutation = {"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": _rewriting(policy, path)}}
            spec |= {"reinvocationPolicy": "Never", "mutations": [mutation]}
            bound: Object = {"policyName": name}
        case Refuses():
            spec |= {"validations": [{"expression": "false", "message": policy.message}]}
            bound = {"policyName": name, "validationActions": ["Deny"]}
    yield {"apiVersion": GROUP, "kind": kind, "metadata": {"name": name}, "spec": spec}
    yield {"apiVersion": GROUP, "kind": f"{kind}Binding", "metadata": {"name": name}, "spec": bound}


def _rewriting(policy: Rewrites, path: str) -> str:
    """The CEL for it."""
    made = f"Object.{path}.containers{{name: c.name, image: {json.dumps(policy.becomes)}}}"
    changed = f"object.{path}.containers.filter(c, c.image == {json.dumps(policy.image)}).map(c, {made})"
    steps = path.split(".")
    text = f"Object.{path}{{containers: {changed}}}"
    for depth in range(len(steps) - 1, 0, -1):
        text = f"Object.{'.'.join(steps[:depth])}{{{steps[depth]}: {text}}}"
    return f"Object{{{steps[0]}: {text}}}"
