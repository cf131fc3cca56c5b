"""What a write does and what is refused, in the words of a real 1.36 (measured)."""

from typing import Any

import pytest

from tests.unit.sim.support import JSON_PATCH, MERGE, STRATEGIC, Client, app, condition

MODIFIED = (
    'Operation cannot be fulfilled on pods "a": '
    "the object has been modified; please apply your changes to the latest version and try again"
)


@pytest.fixture
def client() -> Client:
    client = Client()
    client.pod("a", gate=True)
    client.run(3)
    return client


def test_a_stale_resource_version_is_a_conflict(client: Client) -> None:
    body = {"metadata": {"resourceVersion": "1", "labels": {"x": "y"}}}
    for content_type in (STRATEGIC, MERGE):
        code, message = client.refused("PATCH", "pods/a", body, content_type)
        assert (code, message) == (409, MODIFIED)
    assert client.refused("PUT", "pods/a", {**client.get("pods/a"), "metadata": body["metadata"]})[0] == 409


def test_another_uid_is_invalid_in_a_patch_a_conflict_in_a_put(client: Client) -> None:
    body = {"metadata": {"uid": "other"}}
    code, message = client.refused("PATCH", "pods/a/status", body, STRATEGIC)
    assert (code, message) == (422, 'Pod "a" is invalid: metadata.uid: Invalid value: "other": field is immutable')
    pod = client.get("pods/a")
    pod["metadata"]["uid"] = "other"
    assert client.refused("PUT", "pods/a", pod)[0] == 409


def test_both_preconditions_at_once_give_the_conflict(client: Client) -> None:
    assert client.refused("PATCH", "pods/a", {"metadata": {"uid": "other", "resourceVersion": "1"}}, STRATEGIC)[0] == 409


def test_the_status_subresource_persists_metadata_not_the_spec(client: Client) -> None:
    body = {
        "metadata": {"annotations": {"record": "1"}},
        "spec": {"containers": [{"name": "app", "image": "no"}]},
        "status": {"conditions": [{"type": "inplace.dev/ready", "status": "False"}]},
    }
    made = client.ok("PATCH", "pods/a/status", body, STRATEGIC)
    assert made["metadata"]["annotations"] == {"record": "1"}
    assert made["spec"]["containers"][0]["image"] == "reg/app:1"
    assert condition(made, "inplace.dev/ready") == "False"
    assert condition(made, "PodScheduled") == "True"
    assert made["metadata"]["generation"] == 1


def test_the_main_resource_ignores_status(client: Client) -> None:
    made = client.ok("PATCH", "pods/a", {"status": {"phase": "Failed"}, "metadata": {"labels": {"x": "y"}}}, STRATEGIC)
    assert made["status"]["phase"] == "Running"
    assert made["metadata"]["labels"]["x"] == "y"


def test_a_json_patch_that_appends_a_condition_doubles_it(client: Client) -> None:
    client.set_gate("a", "True")
    operation = {"op": "add", "path": "/status/conditions/-", "value": {"type": "inplace.dev/ready", "status": "False"}}
    made = client.ok("PATCH", "pods/a/status", [operation], JSON_PATCH)
    assert [c["status"] for c in made["status"]["conditions"] if c["type"] == "inplace.dev/ready"] == ["True", "False"]


def test_only_images_of_a_pods_spec_may_change(client: Client) -> None:
    assert client.set_image("pods/a", "reg/app:2")["metadata"]["generation"] == 2
    env = {"containers": [{"name": "app", "env": [{"name": "BOOT", "value": "9"}]}]}
    changed: tuple[dict[str, Any], ...] = (env, {"readinessGates": []})
    for spec in changed:
        code, message = client.refused("PATCH", "pods/a", {"spec": spec}, STRATEGIC)
        assert code == 422
        assert message.startswith(
            'Pod "a" is invalid: spec: Forbidden: pod updates may not change fields other than `spec.cont'
        )
    added = {"spec": {"containers": [app("x") | {"name": "b"}]}}
    message = 'Pod "a" is invalid: spec.containers: Forbidden: pod updates may not add or remove containers'
    assert client.refused("PATCH", "pods/a", added, STRATEGIC) == (422, message)
    operation = {"op": "replace", "path": "/spec/containers/0/image", "value": ""}
    assert client.refused("PATCH", "pods/a", [operation], JSON_PATCH)[1].endswith("spec.containers[0].image: Required value")


def test_a_failed_json_patch_test_is_a_422_without_reasons(client: Client) -> None:
    operations = [{"op": "test", "path": "/metadata/resourceVersion", "value": "1"}]
    text = "the server rejected our request due to an error in our request"
    assert client.refused("PATCH", "pods/a", operations, JSON_PATCH) == (422, text)


def test_a_write_that_changes_nothing_makes_no_version(client: Client) -> None:
    before = client.get("pods/a")["metadata"]["resourceVersion"]
    assert client.ok("PATCH", "pods/a", {}, STRATEGIC)["metadata"]["resourceVersion"] == before
    assert client.set_image("pods/a", "reg/app:1")["metadata"]["resourceVersion"] == before


def test_dry_runs_answer_as_if_and_change_nothing(client: Client) -> None:
    made = client.ok("PATCH", "pods/a", {"metadata": {"labels": {"x": "y"}}}, STRATEGIC, dryRun="All")
    assert made["metadata"]["labels"]["x"] == "y"
    client.ok("POST", "configmaps", {"metadata": {"name": "c"}}, dryRun="All")
    client.ok("DELETE", "pods/a", dryRun="All")
    assert "x" not in client.get("pods/a")["metadata"]["labels"]
    assert client.refused("GET", "configmaps/c")[0] == 404
    assert client.refused("POST", "configmaps", {"metadata": {"name": "c"}}, dryRun="Some")[0] == 422


def test_a_delete_with_a_body_is_dry_only_by_the_body(client: Client) -> None:
    client.ok("DELETE", "pods/a", {"dryRun": ["All"]})
    assert client.refused("DELETE", "pods/a", {"dryRun": ["Some"]})[0] == 422
    assert "deletionTimestamp" not in client.get("pods/a")["metadata"]
    client.ok("DELETE", "pods/a", {"kind": "DeleteOptions"}, dryRun="All")
    assert "deletionTimestamp" in client.get("pods/a")["metadata"]


def test_the_query_of_a_delete_counts_where_there_is_no_body(client: Client) -> None:
    client.ok("DELETE", "pods/a", {"kind": "DeleteOptions"}, gracePeriodSeconds="7")
    assert client.get("pods/a")["metadata"]["deletionGracePeriodSeconds"] == 30
    client.ok("DELETE", "pods/a", gracePeriodSeconds="7")
    assert client.get("pods/a")["metadata"]["deletionGracePeriodSeconds"] == 7


def test_deletion_keeps_to_its_preconditions(client: Client) -> None:
    for preconditions in ({"uid": "x"}, {"resourceVersion": "1"}):
        code, message = client.refused("DELETE", "pods/a", {"preconditions": preconditions})
        assert code == 409
        assert "in the precondition" in message
    client.ok("DELETE", "pods/a", {"preconditions": {"uid": client.get("pods/a")["metadata"]["uid"]}})


def test_generations_rise_where_the_real_ones_do(client: Client) -> None:
    client.deployment(replicas=0)
    client.run(1)

    def generation(body: object, path: str = "deployments/web") -> int:
        return int(client.ok("PATCH", path, body, MERGE)["metadata"]["generation"])

    assert generation({"metadata": {"labels": {"x": "y"}}}) == 1
    assert generation({"metadata": {"annotations": {"x": "y"}}}) == 2
    assert generation({"spec": {"paused": True}}) == 3
    client.run(1)
    name = client.all("replicasets")[0]["metadata"]["name"]
    assert generation({"metadata": {"annotations": {"x": "y"}}}, f"replicasets/{name}") == 1
    assert "generation" not in client.service("s")["metadata"]


def test_the_scale_subresource_reads_and_writes_replicas(client: Client) -> None:
    client.deployment(replicas=1)
    client.run(2)
    scale = client.get("deployments/web/scale")
    assert (scale["kind"], scale["spec"], scale["status"]) == ("Scale", {"replicas": 1}, {"replicas": 1, "selector": "app=web"})
    client.ok("PATCH", "deployments/web/scale", {"spec": {"replicas": 3}}, MERGE)
    web = client.get("deployments/web")
    assert web["spec"]["replicas"] == 3
    entry = web["metadata"]["managedFields"][-1]
    assert (entry["subresource"], entry["fieldsV1"]) == ("scale", {"f:spec": {"f:replicas": {}}})
    stale = {**scale, "metadata": {**scale["metadata"], "resourceVersion": "1"}}
    assert client.refused("PUT", "deployments/web/scale", stale)[0] == 409


@pytest.mark.parametrize(
    ("method", "path", "body", "code", "message"),
    [
        ("GET", "pods/nope", None, 404, 'pods "nope" not found'),
        ("PATCH", "deployments/nope", {}, 404, 'deployments.apps "nope" not found'),
        ("GET", "foos", None, 404, "the server could not find the requested resource"),
        ("POST", "configmaps", {"metadata": {}}, 422, "name or generateName is required"),
        ("POST", "configmaps", {"metadata": {"name": "A"}}, 422, "a lowercase RFC 1123 subdomain must consist"),
        (
            "POST",
            "configmaps",
            {"metadata": {"name": "x", "namespace": "y"}},
            400,
            "the namespace of the provided object does not",
        ),
        (
            "POST",
            "configmaps",
            {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "x"}},
            400,
            "cannot be handled as a Conf",
        ),
        ("POST", "configmaps", {"metadata": {"name": "x", "resourceVersion": "5"}}, 500, "resourceVersion should not be set"),
        ("POST", "/api/v1/namespaces/none/configmaps", {"metadata": {"name": "x"}}, 404, 'namespaces "none" not found'),
        ("PUT", "pods", {}, 405, "the server does not allow this method on the requested resource"),
        ("DELETE", "/api/v1/namespaces/default", None, 403, "this namespace may not be deleted"),
        ("POST", "leases", {"metadata": {"name": "l"}, "spec": {"renewTime": "2026-01-01T00:00:00.5Z"}}, 400, "cannot parse"),
        ("GET", "pods?", None, 404, "the server could not find"),
    ],
)
def test_refusals(client: Client, method: str, path: str, body: object, code: int, message: str) -> None:
    content_type = STRATEGIC if method == "PATCH" else "application/json"
    found = client.refused(method, path, body, content_type)
    assert found[0] == code
    assert message in found[1]


def test_what_exists_cannot_be_created_again(client: Client) -> None:
    client.service()
    body = {"metadata": {"name": "web"}, "spec": {"ports": [{"port": 80}]}}
    assert client.refused("POST", "services", body) == (409, 'services "web" already exists')


def test_selectors_of_workloads_are_checked_and_immutable(client: Client) -> None:
    client.deployment()
    patch = {"spec": {"selector": {"matchLabels": {"x": "y"}}}}
    code, message = client.refused("PATCH", "deployments/web", patch, STRATEGIC)
    assert code == 422
    assert "`selector` does not match template `labels`" in message
    assert "field is immutable" in message


def test_media_that_is_no_patch_is_refused(client: Client) -> None:
    assert client.refused("PATCH", "pods/a", {}, "text/plain") == (415, "415: Unsupported Media Type")
    assert client.refused("PATCH", "pods/a", {"op": 1}, JSON_PATCH)[0] == 400
    assert client.refused("PATCH", "pods/a", [1], STRATEGIC)[0] == 400


def test_objects_get_names_ips_and_defaults(client: Client) -> None:
    service = client.service()
    assert service["spec"]["clusterIP"].startswith("10.96.")
    assert client.service("headless", clusterIP="None")["spec"]["clusterIP"] == "None"
    made = client.ok("POST", "configmaps", {"metadata": {"generateName": "c-"}})
    assert len(made["metadata"]["name"]) == 7
    spec = client.deployment()["spec"]
    assert (spec["revisionHistoryLimit"], spec["strategy"]["rollingUpdate"]["maxSurge"]) == (10, "25%")
    container = spec["template"]["spec"]["containers"][0]
    assert container["readinessProbe"] == {
        "httpGet": {"port": 8080, "path": "/", "scheme": "HTTP"},
        "timeoutSeconds": 1,
        "periodSeconds": 1,
        "successThreshold": 1,
        "failureThreshold": 1,
    }


def test_a_secret_takes_plain_strings(client: Client) -> None:
    made = client.ok("POST", "secrets", {"metadata": {"name": "s"}, "stringData": {"a": "b"}, "data": {"c": "ZA=="}})
    assert (made["type"], made["data"], "stringData" in made) == ("Opaque", {"a": "Yg==", "c": "ZA=="}, False)


def test_access_reviews_are_answered_by_what_is_denied(client: Client) -> None:
    from inplace.sim.api.server import allowing_all_but

    client.cluster.server.is_allowed = allowing_all_but([("patch", "pods/status")])

    def may(verb: str, resource: str, subresource: str = "") -> bool:
        spec = {"resourceAttributes": {"verb": verb, "resource": resource, "subresource": subresource}}
        path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
        return bool(client.ok("POST", path, {"spec": spec})["status"]["allowed"])

    assert may("patch", "pods")
    assert not may("patch", "pods", "status")


def test_events_have_two_shapes(client: Client) -> None:
    body = {"metadata": {"name": "e"}, "regarding": {"kind": "Pod", "name": "a"}, "note": "hi", "reason": "R", "type": "Normal"}
    client.ok("POST", "/apis/events.k8s.io/v1/namespaces/shop/events", body)
    assert client.get("events/e")["involvedObject"]["name"] == "a"
    assert client.get("/apis/events.k8s.io/v1/namespaces/shop/events/e")["note"] == "hi"
    assert len(client.ok("GET", "events", fieldSelector="involvedObject.name=a")["items"]) == 1
