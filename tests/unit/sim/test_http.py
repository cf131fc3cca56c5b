"""The cluster on the wire: keep-alive, streams, kubeconfig. What is in the answers is tested without HTTP."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from inplace.sim.api.protobuf import from_protobuf
from inplace.sim.kubeconfig import write_kubeconfig
from inplace.sim.serving import RunningCluster, serve

Json = dict[str, Any]


@pytest.fixture(scope="module")
def served() -> Iterator[RunningCluster]:
    with serve(speed=50.0) as served:
        yield served


class Wire:
    """One connection."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        assert parts.hostname
        self.connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=20)

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def send(
        self, method: str, path: str, body: Any = None, content_type: str = "application/json", **headers: str
    ) -> tuple[int, Any]:
        sent = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        self.connection.request(method, path, sent, {"Content-Type": content_type, **headers})
        answer = self.connection.getresponse()
        text = answer.read()
        return answer.status, json.loads(text) if "json" in answer.headers["Content-Type"] else text.decode()


def test_one_connection_carries_many_requests(served: RunningCluster) -> None:
    with Wire(served.url) as wire:
        assert wire.send("GET", "/version")[1]["gitVersion"] == "v1.36.3"
        assert wire.send("POST", "/api/v1/namespaces", {"metadata": {"name": "one"}})[0] == 201
        patch = wire.send(
            "PATCH", "/api/v1/namespaces/one", {"metadata": {"labels": {"x": "y"}}}, "application/merge-patch+json"
        )
        assert patch[1]["metadata"]["labels"]["x"] == "y"
        assert patch[1]["metadata"]["managedFields"][0]["manager"] == "unknown"
        assert wire.send("GET", "/api/v1/namespaces/none")[0] == 404
        assert wire.send("GET", "/readyz") == (200, "ok")


def test_a_watch_is_a_chunked_stream_that_ends_with_its_timeout(served: RunningCluster) -> None:
    with Wire(served.url) as wire, Wire(served.url) as other:
        path = "/api/v1/namespaces/default/configmaps"
        version = wire.send("GET", path)[1]["metadata"]["resourceVersion"]
        wire.connection.request("GET", f"{path}?watch=1&resourceVersion={version}&timeoutSeconds=20")
        answer = wire.connection.getresponse()
        assert answer.headers["Transfer-Encoding"] == "chunked"
        other.send("POST", path, {"metadata": {"name": "a"}})
        other.send("DELETE", f"{path}/a")
        events = [json.loads(line) for line in answer]
        assert [(e["type"], e["object"]["metadata"]["name"]) for e in events] == [("ADDED", "a"), ("DELETED", "a")]
        assert wire.send("GET", "/version")[0] == 200


def test_time_passes_by_itself(served: RunningCluster) -> None:
    with Wire(served.url) as wire:
        pod = {
            "metadata": {"name": "a", "labels": {"app": "a"}},
            "spec": {"containers": [{"name": "app", "image": "reg/app:1"}]},
        }
        path = "/api/v1/namespaces/default/pods"
        version = wire.send("POST", path, pod)[1]["metadata"]["resourceVersion"]
        wire.connection.request(
            "GET", f"{path}?watch=1&resourceVersion={version}&fieldSelector=metadata.name%3Da&timeoutSeconds=60"
        )
        answer = wire.connection.getresponse()
        phases = (json.loads(line)["object"]["status"]["phase"] for line in answer)
        assert "Running" in phases
        for _ in answer:
            pass


def test_discovery_has_both_forms(served: RunningCluster) -> None:
    with Wire(served.url) as wire:
        wanted = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"
        [core] = wire.send("GET", "/api", Accept=wanted)[1]["items"]
        assert "pods" in [resource["resource"] for resource in core["versions"][0]["resources"]]
        assert [group["name"] for group in wire.send("GET", "/apis")[1]["groups"]] == [
            "apiextensions.k8s.io",
            "apps",
            "authentication.k8s.io",
            "authorization.k8s.io",
            "coordination.k8s.io",
            "discovery.k8s.io",
            "events.k8s.io",
            "policy",
        ]
        names = [resource["name"] for resource in wire.send("GET", "/apis/apps/v1")[1]["resources"]]
        assert "deployments/scale" in names
        assert wire.send("GET", "/openapi/v3")[0] == 404
        wire.connection.request("GET", "/openapi/v2?timeout=32s")
        answer = wire.connection.getresponse()
        assert (answer.status, answer.read()) == (200, b""), "kubectl applies without schemas"


def test_bodies_may_be_chunked_or_yaml_or_kubectls_protobuf(served: RunningCluster) -> None:
    with Wire(served.url) as wire:
        applied = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: y}\ndata: {a: b}\n"
        path = "/api/v1/namespaces/default/configmaps/y?fieldManager=me"
        assert wire.send("PATCH", path, applied, "application/apply-patch+yaml")[1]["data"] == {"a": "b"}
        sent = iter([b'{"metadata":', b'{"name":"chunked"}}'])
        wire.connection.request("POST", "/api/v1/namespaces", sent, {"Content-Type": "application/json"}, encode_chunked=True)
        answer = wire.connection.getresponse()
        assert answer.status == 201
        answer.read()
        raw = b"\x0a\x07\x0a\x05proto"
        body = b"k8s\x00\x0a\x0f\x0a\x02v1\x12\x09Namespace\x12" + bytes([len(raw)]) + raw
        assert from_protobuf(body) == {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "proto"}}
        assert wire.send("POST", "/api/v1/namespaces", body, "application/vnd.kubernetes.protobuf")[0] == 201
        unknown = b"k8s\x00\x0a\x08\x0a\x02v1\x12\x02No"
        assert wire.send("POST", "/api/v1/namespaces", unknown, "application/vnd.kubernetes.protobuf")[0] == 415


def test_kubectl_create_deployment_sends_protobuf() -> None:
    def field(number: int, value: bytes) -> bytes:
        return bytes([number << 3 | 2, len(value)]) + value

    labels = field(1, b"app") + field(2, b"web")
    containers = field(2, field(1, b"a") + field(2, b"i:1")) + field(2, field(1, b"b") + field(2, b"i:2"))
    template = field(1, field(11, labels)) + field(2, containers)
    spec = b"\x08\x03" + field(2, field(1, labels)) + field(3, template)
    raw = field(1, field(1, b"web")) + field(2, spec)
    named = field(1, b"apps/v1") + field(2, b"Deployment")
    made = from_protobuf(b"k8s\x00" + field(1, named) + field(2, raw))
    assert made["spec"] == {
        "replicas": 3,
        "selector": {"matchLabels": {"app": "web"}},
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "a", "image": "i:1"}, {"name": "b", "image": "i:2"}]},
        },
    }


def test_the_kubeconfig_leads_to_the_cluster(served: RunningCluster, tmp_path: Path) -> None:
    path = tmp_path / "deep" / "kubeconfig"
    write_kubeconfig(path, served.url, "shop")
    written = yaml.safe_load(path.read_text())
    assert written["clusters"][0]["cluster"]["server"] == served.url
    assert written["contexts"][0]["context"]["namespace"] == "shop"
    assert path.stat().st_mode & 0o777 == 0o600
