"""Events that clients write: two ways to look at the same objects."""

from __future__ import annotations

from tests.unit.sim.support import MERGE, Client, Json

NEW = "/apis/events.k8s.io/v1/namespaces/shop/events"
STARTED: Json = {
    "apiVersion": "events.k8s.io/v1",
    "kind": "Event",
    "metadata": {"name": "web.1"},
    "eventTime": "2026-01-01T00:00:00.000000Z",
    "regarding": {"kind": "InPlaceRollout", "name": "web", "namespace": "shop"},
    "note": "started",
    "reason": "Started",
    "type": "Normal",
    "reportingController": "inplace.dev/controller",
}


def test_written_the_new_way_and_read_both_ways() -> None:
    client = Client()
    made = client.ok("POST", NEW, STARTED)
    assert (made["apiVersion"], made["note"]) == ("events.k8s.io/v1", "started")
    (old,) = client.all("events")
    assert (old["apiVersion"], old["message"], old["involvedObject"]["name"]) == ("v1", "started", "web")
    assert old["reportingComponent"] == "inplace.dev/controller"
    found = client.ok("GET", NEW, fieldSelector="regarding.name=web")["items"]
    assert [event["note"] for event in found] == ["started"]


def test_what_happens_again_is_counted() -> None:
    client = Client()
    client.ok("POST", NEW, STARTED)
    series = {"count": 2, "lastObservedTime": "2026-01-01T00:00:01.000000Z"}
    patched = client.ok("PATCH", f"{NEW}/web.1", {"series": series, "note": "again"}, MERGE)
    assert (patched["apiVersion"], patched["series"], patched["note"]) == ("events.k8s.io/v1", series, "again")
    (old,) = client.all("events")
    assert (old["message"], old["series"], "note" in old) == ("again", series, False)
    assert client.refused("PATCH", f"{NEW}/gone", {"series": series}, MERGE)[0] == 404
