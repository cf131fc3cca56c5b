"""Which lists of the API are maps in disguise: by what key strategic merge, and field ownership, tell their items apart.

A list is named by the field that holds its parent and its own field, which is enough to tell every list that we know apart:
`ports` of a container, of a Service and of an EndpointSlice are three different things.
"""

from __future__ import annotations

_CONTAINERS = ("containers", "initContainers", "ephemeralContainers")

MERGE_KEYS: dict[tuple[str, str], str] = {
    **{("spec", name): "name" for name in (*_CONTAINERS, "volumes", "imagePullSecrets")},
    **{(name, "env"): "name" for name in _CONTAINERS},
    **{(name, "ports"): "containerPort" for name in _CONTAINERS},
    **{(name, "volumeMounts"): "mountPath" for name in _CONTAINERS},
    **{(name, "volumeDevices"): "devicePath" for name in _CONTAINERS},
    ("spec", "hostAliases"): "ip",
    ("spec", "topologySpreadConstraints"): "topologyKey",
    ("spec", "ports"): "port",
    ("metadata", "ownerReferences"): "uid",
    ("status", "conditions"): "type",
    ("status", "podIPs"): "ip",
    ("status", "hostIPs"): "ip",
    ("status", "addresses"): "type",
}
"""(parent field, field) to the key by which strategic merge merges; a list that is not here is replaced."""

OWNER_KEYS: dict[tuple[str, str], tuple[str, ...]] = {
    **{place: (key,) for place, key in MERGE_KEYS.items()},
    **{(name, "ports"): ("containerPort", "protocol") for name in _CONTAINERS},
    ("spec", "ports"): ("port", "protocol"),
    ("spec", "topologySpreadConstraints"): ("topologyKey", "whenUnsatisfiable"),
}
"""The same for managedFields and server-side apply, where a key may have several parts."""

PRIMITIVE_SETS = frozenset({("metadata", "finalizers")})
"""Lists of strings that are merged as sets."""

ATOMIC_MAPS = frozenset({("spec", "selector"), ("template", "selector")})
"""Maps that have one owner as a whole: label selectors."""

KEY_DEFAULTS = {"protocol": "TCP"}
