"""Objects nested deeper than Python follows, as bytes: what a client may send, and what comes back."""

from __future__ import annotations

import json
from typing import Any

from inplace.kube.depth import shallow


def nested(levels: int) -> bytes:
    return b'{"f:a":' * levels + b"{}" + b"}" * levels


def with_deep_fields(obj: dict[str, Any], levels: int = 1500) -> bytes:
    """The object with `managedFields` as deep as that, as its author may write them."""
    entry = {"manager": "evil", "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": "HERE"}
    whole = {**obj, "metadata": {**obj["metadata"], "managedFields": [entry]}}
    return json.dumps(whole).encode().replace(b'"HERE"', nested(levels))


def loads(text: str | bytes) -> Any:
    """What is nested too deep is None."""
    try:
        return json.loads(text)
    except RecursionError:
        return json.loads(shallow(text.encode() if isinstance(text, str) else text))
