"""Lists and watches: nothing is missed, nothing comes twice, and what is forgotten is said to be."""

from tests.unit.sim.support import MERGE, Client


def _config_maps(client: Client, *names: str, **labels: str) -> None:
    for name in names:
        client.ok("POST", "configmaps", {"metadata": {"name": name, "labels": labels}})


def test_a_watch_from_a_version_sends_everything_after_it() -> None:
    client = Client()
    _config_maps(client, "a")
    version = client.ok("GET", "configmaps")["metadata"]["resourceVersion"]
    _config_maps(client, "b")
    lines, _ = client.watch("configmaps", resourceVersion=version)
    assert lines.names() == ["ADDED b"]
    client.ok("PATCH", "configmaps/a", {"data": {"x": "1"}}, MERGE)
    client.ok("DELETE", "configmaps/b")
    kinds = lines.take()
    assert [(kind, obj["metadata"]["name"]) for kind, obj in kinds] == [("MODIFIED", "a"), ("DELETED", "b")]
    versions = [int(obj["metadata"]["resourceVersion"]) for _, obj in kinds]
    assert versions == sorted(versions)


def test_a_watch_without_a_version_begins_with_what_is_there() -> None:
    client = Client()
    _config_maps(client, "a", "b")
    lines, _ = client.watch("configmaps", allowWatchBookmarks="1")
    kinds = lines.take()
    assert [kind for kind, _ in kinds] == ["ADDED", "ADDED", "BOOKMARK"]
    assert kinds[-1][1]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}


def test_objects_enter_and_leave_a_selection() -> None:
    client = Client()
    lines, _ = client.watch("configmaps", labelSelector="app=x", resourceVersion=str(client.cluster.store.version))
    _config_maps(client, "a", app="y")
    client.ok("PATCH", "configmaps/a", {"metadata": {"labels": {"app": "x"}}}, MERGE)
    client.ok("PATCH", "configmaps/a", {"data": {"k": "v"}}, MERGE)
    client.ok("PATCH", "configmaps/a", {"metadata": {"labels": {"app": "z"}}}, MERGE)
    assert lines.names() == ["ADDED a", "MODIFIED a", "DELETED a"]


def test_bookmarks_come_each_minute_until_the_timeout_ends_it() -> None:
    client = Client()
    version = str(client.cluster.store.version)
    lines, _ = client.watch("leases", resourceVersion=version, allowWatchBookmarks="1", timeoutSeconds="130")
    client.run(129)
    assert [kind for kind, _ in lines.take()] == ["BOOKMARK", "BOOKMARK"]
    assert not lines.has_ended
    client.run(2)
    assert lines.has_ended


def test_a_forgotten_version_gives_an_error_in_the_stream() -> None:
    client = Client()
    version = str(client.cluster.store.version)
    _config_maps(client, "a")
    client.cluster.store.forget()
    lines, watch = client.watch("configmaps", resourceVersion=version)
    [(kind, status)] = lines.take()
    assert (kind, status["code"], status["reason"]) == ("ERROR", 410, "Expired")
    assert status["message"].startswith(f"too old resource version: {version} (")
    assert lines.has_ended
    assert not watch.is_open


def test_the_history_is_a_window() -> None:
    client = Client(window=3)
    version = client.cluster.store.version
    _config_maps(client, "a", "b", "c", "d", "e", "f", "g")
    assert client.watch("configmaps", resourceVersion=str(version))[0].take()[0][0] == "ERROR"
    lines, _ = client.watch("configmaps", resourceVersion=str(client.cluster.store.version - 2))
    assert lines.names() == ["ADDED f", "ADDED g"]


def test_a_list_in_pages_shows_one_instant() -> None:
    client = Client()
    _config_maps(client, "a", "b", "c")
    first = client.ok("GET", "configmaps", limit="2")
    assert first["metadata"]["remainingItemCount"] == 1
    client.ok("DELETE", "configmaps/c")
    second = client.ok("GET", "configmaps", limit="2", **{"continue": first["metadata"]["continue"]})
    assert [item["metadata"]["name"] for item in first["items"] + second["items"]] == ["a", "b", "c"]
    assert second["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
    assert "continue" not in second["metadata"]


def test_a_continue_token_expires() -> None:
    client = Client()
    _config_maps(client, "a", "b")
    token = client.ok("GET", "configmaps", limit="1")["metadata"]["continue"]
    _config_maps(client, "c")
    client.cluster.store.forget()
    code, message = client.refused("GET", "configmaps", limit="1", **{"continue": token})
    assert code == 410
    assert message.startswith("The provided continue parameter is too old")
    assert client.refused("GET", "configmaps", limit="1", **{"continue": "zzz"})[0] == 400


def test_versions_from_the_future_and_nonsense_are_refused() -> None:
    client = Client()
    assert client.refused("GET", "pods", resourceVersion="99999999")[0] == 504
    assert client.refused("GET", "pods", resourceVersion="abc")[0] == 400


def test_lists_are_ordered_and_tables_have_kubectls_columns() -> None:
    client = Client(events=True)
    client.service()
    client.deployment(replicas=2)
    client.run(4)
    accept = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
    table = client.ok("GET", "pods", accept=accept)
    shown = [column["name"] for column in table["columnDefinitions"] if column["priority"] == 0]
    assert shown == ["Name", "Ready", "Status", "Restarts", "Age"]
    assert [row["cells"][1:4] for row in table["rows"]] == [["1/1", "Running", "0"]] * 2
    names = [row["cells"][0] for row in table["rows"]]
    assert names == sorted(names)
    assert client.ok("GET", "deployments", accept=accept)["rows"][0]["cells"][:5] == ["web", "2/2", 2, 2, "4s"]
    assert client.ok("GET", "services", accept=accept)["rows"][0]["cells"][4] == "80/TCP"
    assert client.ok("GET", "endpointslices", accept=accept)["rows"][0]["cells"][1:3] == ["IPv4", "8080"]
    for path in ("replicasets", "events", "leases", "poddisruptionbudgets", "/api/v1/nodes", "/api/v1/namespaces"):
        assert client.ok("GET", path, accept=accept)["kind"] == "Table"
    scale = client.ok("GET", "deployments/web/scale", accept=accept)
    assert [column["name"] for column in scale["columnDefinitions"]] == ["Name", "Desired", "Available", "Age"]
    assert scale["rows"][0]["cells"] == ["web", 2, 2, "4s"]


def test_events_are_listed_in_the_order_in_which_they_happened() -> None:
    client = Client(events=True)
    client.pod("a")
    client.run(4)
    told = [event["reason"] for event in client.all("events")]
    assert told[:5] == ["Scheduled", "Pulling", "Pulled", "Created", "Started"]
