"""What a client asks first: the version, the groups and resources (old and aggregated form), health."""

from __future__ import annotations

from functools import lru_cache

from inplace.sim.objects.errors import Json, StatusError
from inplace.sim.objects.kinds import Kind
from inplace.sim.objects.store import encode

VERSION: Json = {
    "major": "1",
    "minor": "36",
    "emulationMajor": "1",
    "emulationMinor": "36",
    "minCompatibilityMajor": "1",
    "minCompatibilityMinor": "35",
    "gitVersion": "v1.36.3",
    "gitCommit": "simulated",
    "gitTreeState": "clean",
    "buildDate": "1970-01-01T00:00:00Z",
    "goVersion": "none",
    "compiler": "none",
    "platform": "linux/amd64",
}
AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
OPENAPI = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
SUBRESOURCE_VERBS = ("get", "patch", "update")


Served = tuple[Kind, ...]


def discovered(path: str, accept: str, served: Served) -> tuple[bytes, str] | None:
    """Body and content type, where the path is one of these. Raises `Refusal` for what is served nowhere."""
    match path.strip("/").split("/"):
        case ["version"]:
            return encode(VERSION), "application/json"
        case ["healthz" | "livez" | "readyz", *_]:
            return b"ok", "text/plain"
        case ["api"] if "apidiscovery.k8s.io" in accept:
            return _aggregated(served, is_core=True), AGGREGATED
        case ["apis"] if "apidiscovery.k8s.io" in accept:
            return _aggregated(served, is_core=False), AGGREGATED
        case ["api"]:
            return encode({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}), "application/json"
        case ["apis"]:
            groups = [_group(served, name) for name in _groups(served)]
            return encode({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}), "application/json"
        case ["apis", group] if group in _groups(served):
            return encode({"kind": "APIGroup", "apiVersion": "v1", **_group(served, group)}), "application/json"
        case ["api", "v1"]:
            return _resources(served, "", "v1"), "application/json"
        case ["apis", group, version] if any((kind.group, kind.version) == (group, version) for kind in served):
            return _resources(served, group, version), "application/json"
        case ["openapi", "v2"]:
            return b"", OPENAPI  # in protobuf that is a document which describes nothing, so kubectl has nothing to validate by
        case ["openapi" | "logs" | "metrics" | "", *_]:
            raise StatusError(404, "NotFound", "the server could not find the requested resource", {})
    return None


def _groups(served: Served) -> list[str]:
    return sorted({kind.group for kind in served if kind.group})


def _versions(served: Served, group: str) -> list[str]:
    return sorted({kind.version for kind in served if kind.group == group})


def _group(served: Served, name: str) -> Json:
    versions = _versions(served, name)
    listed = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
    return {"name": name, "versions": listed, "preferredVersion": listed[0]}


def _subresources(kind: Kind) -> list[tuple[str, str, str, tuple[str, ...]]]:
    """Name, group and version, kind, verbs."""
    found: list[tuple[str, str, str, tuple[str, ...]]] = []
    if kind.has_status:
        found.append(("status", "", kind.kind, SUBRESOURCE_VERBS))
    if kind.has_scale:
        found.append(("scale", "autoscaling/v1", "Scale", SUBRESOURCE_VERBS))
    if kind.plural == "pods":
        found.append(("eviction", "policy/v1", "Eviction", ("create",)))
        found.append(("binding", "", "Binding", ("create",)))
    return found


@lru_cache(maxsize=64)
def _resources(served: Served, group: str, version: str) -> bytes:
    listed: list[Json] = []
    for kind in served:
        if (kind.group, kind.version) != (group, version):
            continue
        listed.append(
            {
                "name": kind.plural,
                "singularName": kind.singular,
                "namespaced": kind.is_namespaced,
                "kind": kind.kind,
                "verbs": list(kind.verbs),
                **({"shortNames": list(kind.short_names)} if kind.short_names else {}),
                **_categories(kind),
            }
        )
        for name, place, kind_name, verbs in _subresources(kind):
            entry: Json = {"name": f"{kind.plural}/{name}", "singularName": "", "namespaced": kind.is_namespaced}
            if place:
                entry |= dict(zip(("group", "version"), place.split("/"), strict=True))
            listed.append({**entry, "kind": kind_name, "verbs": list(verbs)})
    api_version = f"{group}/{version}" if group else version
    return encode({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": api_version, "resources": listed})


def _categories(kind: Kind) -> Json:
    found = [*(["all"] if kind.in_all else []), *kind.categories]
    return {"categories": found} if found else {}


@lru_cache(maxsize=64)
def _aggregated(served: Served, *, is_core: bool) -> bytes:
    items = []
    for group in [""] if is_core else _groups(served):
        versions: list[Json] = []
        for version in _versions(served, group):
            found = [_aggregated_resource(kind) for kind in served if (kind.group, kind.version) == (group, version)]
            versions.append({"version": version, "resources": found, "freshness": "Current"})
        items.append({"metadata": {"name": group} if group else {}, "versions": versions})
    head = {"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}}
    return encode({**head, "items": items})


def _aggregated_resource(kind: Kind) -> Json:
    subresources = []
    for name, place, kind_name, verbs in _subresources(kind):
        group, _, version = place.partition("/")
        response = {"group": group, "version": version, "kind": kind_name}
        subresources.append({"subresource": name, "responseKind": response, "verbs": list(verbs)})
    return {
        "resource": kind.plural,
        "responseKind": {"group": "", "version": "", "kind": kind.kind},
        "scope": "Namespaced" if kind.is_namespaced else "Cluster",
        "singularResource": kind.singular,
        "verbs": list(kind.verbs),
        **({"shortNames": list(kind.short_names)} if kind.short_names else {}),
        **_categories(kind),
        **({"subresources": subresources} if subresources else {}),
    }
