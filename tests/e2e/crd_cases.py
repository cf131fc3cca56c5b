"""InPlaceRollouts that the CRD accepts, and those that it refuses, with the reason."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

CRD = Path(__file__).parents[2] / "deploy/crds/inplace.dev_inplacerollouts.yaml"
Json = dict[str, Any]
WEB = {"kind": "Deployment", "name": "web"}
IMAGES = [{"container": "app", "image": "repo/app:2"}]
WHOLE = {"pods": "100%"}
AMOUNT = "from 1, or a percentage from 1% to 100%"


def rollout(name: str, **spec: Any) -> Json:
    fields = {"target": WEB, "images": IMAGES, **spec}
    given = {key: value for key, value in fields.items() if value is not None}
    return {"apiVersion": "inplace.dev/v1alpha1", "kind": "InPlaceRollout", "metadata": {"name": name}, "spec": given}


def stepped(*steps: Json) -> Json:
    return {"strategy": {"steps": list(steps)}}


def images(number: int) -> list[Json]:
    return [{"container": f"c{i}", "image": "a:1"} for i in range(number)]


REFUSED: list[tuple[Json, str]] = [
    # what is upgraded, and to what
    ({"target": None}, "spec.target: Required value"),
    ({"target": {"kind": "Job", "name": "x"}}, 'Unsupported value: "Job"'),
    ({"target": {"kind": "Deployment"}}, "name the workload"),
    ({"target": {**WEB, "selector": "a=b"}}, "name the workload; podNames and selector are for kind Pods"),
    ({"target": {"kind": "Pods"}}, "say either podNames or selector, and no name"),
    ({"target": {"kind": "Pods", "name": "x"}}, "say either podNames or selector, and no name"),
    ({"target": {"kind": "Pods", "podNames": ["x"], "selector": "a=b"}}, "say either podNames or selector"),
    ({"target": {"kind": "Pods", "podNames": []}}, "should have at least 1 items"),
    ({"target": {"kind": "Pods", "podNames": ["x", "x"]}}, 'podNames[1]: Duplicate value: "x"'),
    ({"target": {"kind": "Pods", "podNames": [f"p{i}" for i in range(257)]}}, "must have at most 256 items"),
    ({"target": {"kind": "Pods", "selector": "x" * 1025}}, "may not be more than 1024"),
    ({"target": {"kind": "Pods", "selector": "a=b"}, "images": None}, "bare pods have no template to be brought to"),
    ({"undo": {}}, "images and undo cannot be combined"),
    ({"undo": {"toRevision": -1}, "images": None}, "toRevision in body should be greater than or equal to 0"),
    ({"images": [{"image": "a:1"}]}, "images[0].container: Required value"),
    ({"images": [{"container": "App", "image": "a:1"}]}, "images[0].container in body should match"),
    ({"images": [{"container": "app", "image": "a b"}]}, "images[0].image in body should match"),
    ({"images": [{"container": "app", "image": ""}]}, "images[0].image in body should be at least 1 chars"),
    ({"images": [{"container": "app", "image": "127.0.0.1:5055/APP:2"}]}, "the repository in lower case"),
    ({"images": [{"container": "app", "image": "app@sha256:abc"}]}, "a digest is sha256: and 64 hexadecimal digits"),
    ({"images": [{"container": "app", "image": "a" * 64}]}, "that is the id of an image"),
    ({"images": IMAGES * 2}, "images[1]: Duplicate value"),
    ({"images": images(21)}, "must have at most 20 items"),
    ({"gate": "a/b/c"}, "spec.gate in body should match"),
    ({"gate": ""}, "spec.gate in body should be at least 1 chars"),
    ({"acceptUndrainable": [f"s{i}" for i in range(51)]}, "must have at most 50 items"),
    # how
    *[
        ({"strategy": {"maxUnavailable": bad}}, f"maxUnavailable is a number of pods {AMOUNT}")
        for bad in (0, -1, "0%", "150%", "x%", "3")
    ],
    *[(stepped({"pods": bad}, WHOLE), f"pods of a step is a number {AMOUNT}") for bad in (0, "0%", "101%", "half")],
    (stepped({"pods": "10%"}, {"pods": "50%"}), "the last step must be pods: 100%; to stop halfway use a pause"),
    (stepped({"pods": 5}), "the last step must be pods: 100%"),
    (stepped(WHOLE, {"pause": {}}), "the last step must be pods: 100%"),
    (stepped({"pods": "50%"}, {"pause": {}}, {"pods": "20%"}, WHOLE), "a percentage may not be less than one before it"),
    (stepped({"pods": "9%"}, {"pods": "5%"}, WHOLE), "a percentage may not be less than one before it"),
    (stepped({"pods": 30}, {"pods": 4}, WHOLE), "a count may not be less than one before it"),
    (stepped({"pods": "50%"}, {"pause": {}}, {"pods": "50%"}, WHOLE), "steps must grow: two of them are the same"),
    (stepped({"pods": 3}, {"pods": 3}, WHOLE), "steps must grow: two of them are the same"),
    (stepped({}, WHOLE), "a step has either pods or pause"),
    (stepped({"pods": 1, "pause": {}}, WHOLE), "a step has either pods or pause"),
    (stepped({"pause": {"seconds": 0}}, WHOLE), "seconds in body should be greater than or equal to 1"),
    (stepped(*[{"pods": i + 1} for i in range(20)], WHOLE), "must have at most 20 items"),
    ({"drain": {"settleSeconds": -1}}, "settleSeconds in body should be greater than or equal to 0"),
    ({"drain": {"timeoutSeconds": 0}}, "timeoutSeconds in body should be greater than or equal to 1"),
    ({"restart": {"timeoutSeconds": 86401}}, "timeoutSeconds in body should be less than or equal to 86400"),
    ({"minReadySeconds": -1}, "minReadySeconds in body should be greater than or equal to 0"),
    ({"failure": {"maxFailed": -1}}, "maxFailed in body should be greater than or equal to 0"),
    ({"failure": {"action": "Panic"}}, 'Unsupported value: "Panic"'),
    ({"onBusy": "Queue"}, 'Unsupported value: "Queue"'),
    ({"onDelete": "Orphan"}, 'Unsupported value: "Orphan"'),
    ({"ttlSecondsAfterFinished": -1}, "ttlSecondsAfterFinished in body should be greater than or equal to 0"),
    ({"paused": "yes"}, 'must be of type boolean: "string"'),
]
ACCEPTED: list[Json] = [
    {},
    {"images": None},
    {"undo": {}, "images": None},
    {"undo": {"toRevision": 3}, "images": None},
    {"images": [{"container": "app", "image": f"[::1]:5000/team/app__x:1.5_a@sha256:{'a' * 64}"}]},
    {"target": {"kind": "Pods", "selector": "app in (a,b),!c"}},
    {"target": {"kind": "Pods", "podNames": ["a", "b"]}},
    {"images": images(20), "acceptUndrainable": ["a", "b"], "withoutGate": True, "gate": "www.example.com/feature-1"},
    {"strategy": {"maxUnavailable": "100%", "steps": []}},
    {"strategy": {"maxUnavailable": 500}},
    stepped(WHOLE),
    stepped({"pods": 1}, {"pause": {"seconds": 600}}, {"pods": "5%"}, {"pods": "10%"}, {"pause": {}}, {"pods": 30}, WHOLE),
    {"drain": {"settleSeconds": 0}, "minReadySeconds": 0, "ttlSecondsAfterFinished": 0, "paused": True},
]


def listed(objects: Iterable[Json]) -> str:
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
