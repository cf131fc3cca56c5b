"""Writes docs/crd.md from the CRD, so that the reference says what the API server enforces: `make reference`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
CRD = HERE.parent / "deploy/crds/inplace.dev_inplacerollouts.yaml"
EXAMPLE = """\
```yaml
apiVersion: inplace.dev/v1alpha1
kind: InPlaceRollout
metadata:
  name: web-1-5
  namespace: shop
spec:
  target: {kind: Deployment, name: web}
  images:
    - {container: app, image: repo/app:1.5}
  strategy:
    maxUnavailable: 25%
    steps: [{pods: 10%}, {pause: {}}, {pods: 50%}, {pause: {seconds: 600}}, {pods: 100%}]
  failure: {action: Rollback}
```

```sh
kubectl get ipr -w
kubectl wait ipr/web-1-5 --for=condition=Ready --timeout=1h
inplace resume deploy/web                               # continue past the pause; pause, promote and abort work alike
kubectl annotate ipr/web-1-5 inplace.dev/request=resume # the same with kubectl alone
```
"""
Json = dict[str, Any]


def reference(crd: Json) -> str:
    spec = crd["spec"]
    (version,) = spec["versions"]
    schema, names = version["schema"]["openAPIV3Schema"], spec["names"]
    commands = f"`kubectl get {names['plural']}` or `{names['shortNames'][0]}`"
    parts = [
        f"# {names['kind']}",
        f"`{spec['group']}/{version['name']}`, {commands}. {schema['description']}",
        "Generated from the CRD (deploy/crds) by `make reference`, so the API server enforces what is written here.",
        EXAMPLE.strip(),
        "## spec",
        "\n".join(_table(schema["properties"]["spec"])),
        "### Rules",
        "\n".join(f"- `{path}`: {message}" for path, message in _rules(schema["properties"]["spec"])),
        "## status",
        "\n".join(_table(schema["properties"]["status"], has_defaults=False)),
        "## Columns",
        "\n".join(_columns(version["additionalPrinterColumns"])),
    ]
    return "\n\n".join(parts) + "\n"


def _table(schema: Json, *, has_defaults: bool = True) -> Iterator[str]:
    yield f"| field | type |{' default |' if has_defaults else ''} |"
    yield f"|---|---|{'---|' if has_defaults else ''}---|"
    for path, field, is_required in _fields(schema):
        default = "required" if is_required else _shown(field.get("default"))
        about = ". ".join(filter(None, (field.get("description", "").removesuffix("."), _bounds(field))))
        yield f"| `{path}` | {_type(field)} |{f' {default} |' if has_defaults else ''} {_escaped(about)} |"


def _fields(schema: Json, path: str = "") -> Iterator[tuple[str, Json, bool]]:
    for name, field in schema.get("properties", {}).items():
        field_path = f"{path}.{name}" if path else name
        yield field_path, field, name in schema.get("required", ())
        yield from _fields(field.get("items", field), f"{field_path}[]" if "items" in field else field_path)


def _shown(default: Any) -> str:
    match default:
        case None | {}:
            return ""
        case bool():
            return f"`{str(default).lower()}`"
        case _:
            return f"`{default}`"


def _type(field: Json) -> str:
    if field.get("x-kubernetes-int-or-string"):
        return "number or percentage"
    if "enum" in field:
        return " \\| ".join(f"`{value}`" for value in field["enum"])
    if field["type"] == "array":
        return f"list of {_type(field['items'])}s"
    return "instant" if field.get("format") == "date-time" else str(field["type"])


def _bounds(field: Json) -> str:
    match field:
        case {"minimum": least, "maximum": most}:
            return f"{least} to {most}"
        case {"maxItems": most}:
            return f"At most {most}"
        case _:
            return ""


def _rules(schema: Json, path: str = "spec") -> Iterator[tuple[str, str]]:
    for rule in schema.get("x-kubernetes-validations", ()):
        yield f"{path}{rule.get('fieldPath', '')}", rule["message"]
    for name, field in schema.get("properties", {}).items():
        yield from _rules(field, f"{path}.{name}")
    if "items" in schema:
        yield from _rules(schema["items"], f"{path}[]")


def _columns(columns: list[Json]) -> Iterator[str]:
    yield "| column | shows | |"
    yield "|---|---|---|"
    for column in columns:
        wide = " (`-o wide`)" if column.get("priority") else ""
        yield f"| {column['name']}{wide} | `{column['jsonPath']}` | {column.get('description', '')} |"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(reference(yaml.safe_load(CRD.read_text())))
