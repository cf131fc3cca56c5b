"""The kubelet's facts of design section 4, and what was measured besides on a real 1.36.3."""

from __future__ import annotations

from typing import Any

import pytest

from inplace.sim.objects import kinds
from inplace.sim.objects.store import StoreEvent
from tests.unit.sim.support import Client, app, condition, container, waiting

Json = dict[str, Any]
BOOT = 3.0


class History:
    """Every version of one pod, with the instant at which it was written."""

    def __init__(self, client: Client, name: str) -> None:
        self.client = client
        self.seen: list[tuple[float, Json]] = []
        self._name = name
        client.cluster.store.listen((kinds.PODS,), self._saw)

    def _saw(self, event: StoreEvent) -> None:
        if event.new is not None and event.item.name == self._name:
            self.seen.append((self.client.scheduler.now, event.new.obj))

    def first(self, is_so: Any) -> float:
        """When it was so first; fails where it never was."""
        return next(at for at, pod in self.seen if is_so(pod))

    def forget(self) -> None:
        self.seen.clear()


def _running(client: Client, name: str = "a", **more: Any) -> History:
    """A pod that has been running, ready and untouched for a while."""
    history = History(client, name)
    client.pod(name, **more)
    client.run(10)
    if more.get("gate"):
        client.set_gate(name, "True")
        client.run(5)
    assert condition(client.get(f"pods/{name}"), "Ready") == "True"
    history.forget()
    return history


def _id(pod: Json) -> str:
    return str(container(pod).get("containerID", ""))


def test_the_generation_is_seen_before_the_old_container_stops() -> None:
    client = Client()
    history = _running(client)
    old = _id(client.get("pods/a"))
    client.set_image("pods/a", "reg/app:2")
    client.run(5)
    seen = history.first(lambda pod: pod["status"]["observedGeneration"] == 2)
    shown = next(pod for at, pod in history.seen if at == seen)
    assert (_id(shown), condition(shown, "Ready")) == (old, "True")
    assert history.first(lambda pod: _id(pod) != old) > seen
    pod = client.get("pods/a")
    assert (container(pod)["restartCount"], container(pod)["image"], condition(pod, "Ready")) == (1, "reg/app:2", "True")
    assert container(pod)["lastState"]["terminated"]["containerID"] == old
    assert all(c["observedGeneration"] == 2 for c in pod["status"]["conditions"])


@pytest.mark.parametrize("seed", range(5))
def test_gate_to_ready_takes_little_when_the_kubelet_was_idle(seed: int) -> None:
    client = Client(seed)
    history = _running(client, gate=True)
    begun = client.scheduler.now
    client.set_gate("a", "False")
    client.run(3)
    assert 0.005 < history.first(lambda pod: condition(pod, "Ready") == "False") - begun < 0.06


@pytest.mark.parametrize("seed", range(8))
def test_a_new_image_restarts_after_a_moment_or_the_next_relist(seed: int) -> None:
    """Measured: 0.15 to 0.25 s if the last sync is over a second ago, else up to 1.2 s."""
    for settle, least, most in ((1.5, 0.08, 0.35), (0.0, 0.08, 1.35)):
        client = Client(seed)
        history = _running(client, gate=True)
        client.cluster.catalog.define("reg/app:2", pull_seconds=0.02)
        old = _id(client.get("pods/a"))
        client.set_gate("a", "False")
        client.run(0.05 + settle)
        begun = client.scheduler.now
        client.set_image("pods/a", "reg/app:2")
        client.run(4)
        assert least < history.first(lambda pod, old=old: _id(pod) != old) - begun < most


@pytest.mark.parametrize("seed", range(8))
def test_a_gate_opened_after_a_restart_waits_for_two_relists(seed: int) -> None:
    """Measured: 1.0 to 2.0 s with a readiness probe."""
    client = Client(seed)
    history = _running(client, gate=True)
    old = _id(client.get("pods/a"))
    client.set_gate("a", "False")
    client.run(2)
    client.set_image("pods/a", "reg/app:2")
    while _id(client.get("pods/a")) == old:
        client.scheduler.run_next()
    begun = client.scheduler.now
    history.forget()
    client.set_gate("a", "True")
    client.run(4)
    assert 0.9 < history.first(lambda pod: condition(pod, "Ready") == "True") - begun < 2.1


def test_the_same_digest_under_another_tag_restarts_with_its_id() -> None:
    client = Client()
    _running(client, image="reg/app:2")
    before = container(client.get("pods/a"))
    client.set_image("pods/a", "reg/app:2b")
    client.run(5)
    after = container(client.get("pods/a"))
    assert after["containerID"] != before["containerID"]
    assert after["imageID"] == before["imageID"]
    assert after["image"] == "reg/app:2"


def test_the_same_image_restarts_nothing() -> None:
    client = Client()
    _running(client)
    before = _id(client.get("pods/a"))
    client.set_image("pods/a", "reg/app:1")
    client.run(5)
    assert _id(client.get("pods/a")) == before


def test_pre_stop_and_grace_come_before_the_new_container() -> None:
    client = Client()
    history = _running(client, container={"lifecycle": {"preStop": {"exec": {"command": ["sh", "-c", "sleep 4"]}}}})
    begun = client.scheduler.now
    old = _id(client.get("pods/a"))
    client.set_image("pods/a", "reg/app:2")
    client.run(8)
    assert 4.0 < history.first(lambda pod: _id(pod) != old) - begun < 5.0


def test_an_app_that_ignores_sigterm_is_killed_after_its_grace() -> None:
    client = Client()
    client.cluster.catalog.define("reg/app:1", stops_after=1000.0)
    history = _running(client, terminationGracePeriodSeconds=6)
    begun, old = client.scheduler.now, _id(client.get("pods/a"))
    client.set_image("pods/a", "reg/app:2")
    client.run(10)
    assert 6.0 < history.first(lambda pod: _id(pod) != old) - begun < 7.0
    assert container(client.get("pods/a"))["lastState"]["terminated"]["exitCode"] == 137


def test_a_readiness_probe_holds_ready_until_the_app_answers() -> None:
    client = Client()
    history = _running(client, boot=BOOT)
    client.set_image("pods/a", "reg/app:2")
    client.run(10)
    down = history.first(lambda pod: condition(pod, "Ready") == "False")
    up = next(at for at, pod in history.seen if at > down and condition(pod, "Ready") == "True")
    assert BOOT < up - down < BOOT + 1.3


def test_without_any_probe_running_is_ready() -> None:
    client = Client()
    history = _running(client, boot=BOOT, readiness=False)
    client.set_image("pods/a", "reg/app:2")
    client.run(10)
    assert all(condition(pod, "Ready") == "True" for _, pod in history.seen)


def test_a_startup_probe_alone_carries_started_over_a_restart() -> None:
    """kubernetes#141155."""
    client = Client()
    startup = {"startupProbe": {"httpGet": {"port": 8080}, "periodSeconds": 5, "failureThreshold": 30}}
    history = _running(client, boot=BOOT, readiness=False, container=startup)
    old = _id(client.get("pods/a"))
    client.set_image("pods/a", "reg/app:2")
    client.run(20)
    shown = [(container(pod)["started"], condition(pod, "Ready")) for _, pod in history.seen if _id(pod) != old]
    assert [pair for at, pair in enumerate(shown) if at == 0 or pair != shown[at - 1]] == [
        (True, "True"),
        (False, "False"),
        (True, "True"),
    ]


def test_a_booting_pod_is_not_started_before_its_probe_says_so() -> None:
    client = Client()
    startup = {"startupProbe": {"httpGet": {"port": 8080}, "periodSeconds": 1, "failureThreshold": 30}}
    history = History(client, "a")
    client.pod("a", boot=BOOT, readiness=False, container=startup)
    client.run(8)
    assert history.first(lambda pod: condition(pod, "Ready") == "True") > BOOT


def test_a_failed_startup_or_liveness_probe_restarts() -> None:
    client = Client()
    probe = {"httpGet": {"port": 8080}, "periodSeconds": 2, "failureThreshold": 2}
    for name, field in (("s", "startupProbe"), ("l", "livenessProbe")):
        client.pod(name, image="reg/app:mute", readiness=False, container={field: probe})
    client.run(9)
    for name in ("s", "l"):
        assert container(client.get(f"pods/{name}"))["restartCount"] >= 1


def test_a_sick_app_loses_ready_and_gets_it_back() -> None:
    client = Client()
    _running(client)
    item = client.item("a")
    kubelet = client.cluster.kubelet_of(item.obj)
    assert kubelet is not None
    kubelet.set_sick(item.uid, "app", is_sick=True)
    client.run(3)
    assert condition(client.get("pods/a"), "Ready") == "False"
    kubelet.set_sick(item.uid, "app", is_sick=False)
    client.run(3)
    assert condition(client.get("pods/a"), "Ready") == "True"
    assert container(client.get("pods/a"))["restartCount"] == 0


def test_a_missing_image_stops_the_old_container() -> None:
    client = Client()
    history = _running(client)
    old = _id(client.get("pods/a"))
    client.set_image("pods/a", "reg/app:missing")
    client.run(40)
    reasons = [waiting(pod) for _, pod in history.seen]
    assert reasons[0] == ""
    assert list(dict.fromkeys(filter(None, reasons)))[:2] == ["ErrImagePull", "ImagePullBackOff"]
    pod = client.get("pods/a")
    assert (_id(pod), condition(pod, "Ready")) == (old, "False")
    client.set_image("pods/a", "reg/app:1")
    client.run(5)
    assert condition(client.get("pods/a"), "Ready") == "True"


def test_an_image_name_that_cannot_be_read_says_so() -> None:
    client = Client()
    client.pod("a", image="App:UP:x")
    client.run(5)
    assert waiting(client.get("pods/a")) == "InvalidImageName"


def test_a_crashing_image_ends_in_back_off_that_doubles() -> None:
    client = Client()
    history = History(client, "a")
    client.pod("a", image="reg/app:crash")
    client.run(120)
    messages = [container(pod)["state"]["waiting"]["message"] for _, pod in history.seen if waiting(pod) == "CrashLoopBackOff"]
    shown = list(dict.fromkeys(message.split(" ")[1] for message in messages))
    assert shown[:3] == ["10s", "20s", "40s"]
    assert container(client.get("pods/a"))["restartCount"] >= 3


def test_back_off_belongs_to_the_image_string() -> None:
    """Measured: the first way back is free; a string restarted into a moment ago meets its back-off."""
    client = Client()
    _running(client)
    for image in ("reg/app:2", "reg/app:1", "reg/app:2"):
        client.set_image("pods/a", image)
        client.run(5)
        assert waiting(client.get("pods/a")) == ""
    client.set_image("pods/a", "reg/app:1")
    client.run(5)
    assert waiting(client.get("pods/a")) == "CrashLoopBackOff"
    client.set_image("pods/a", "reg/app:3")
    client.run(5)
    assert condition(client.get("pods/a"), "Ready") == "True"


def test_init_containers_run_in_order_and_sidecars_stay() -> None:
    client = Client()
    inits = [app("reg/side:1") | {"name": "side", "restartPolicy": "Always"}, {"name": "init", "image": "reg/init:1"}]
    history = History(client, "a")
    client.pod("a", initContainers=inits)
    client.run(10)
    pod = client.get("pods/a")
    assert condition(pod, "Ready") == "True"
    assert container(pod, "init")["state"]["terminated"]["exitCode"] == 0
    initialized = history.first(lambda pod: condition(pod, "Initialized") == "True")
    assert history.first(lambda pod: bool(_id(pod))) > initialized


def test_a_sidecars_image_restarts_it_an_init_containers_not() -> None:
    client = Client()
    inits = [app("reg/side:1") | {"name": "side", "restartPolicy": "Always"}, {"name": "init", "image": "reg/init:1"}]
    _running(client, initContainers=inits)
    before = client.get("pods/a")

    def patch(name: str, image: str) -> Json:
        body = {"spec": {"initContainers": [{"name": name, "image": image}]}}
        client.ok("PATCH", "pods/a", body, "application/strategic-merge-patch+json")
        client.run(5)
        return client.get("pods/a")

    pod = patch("side", "reg/side:2")
    assert (container(pod, "side")["restartCount"], _id(pod)) == (1, _id(before))
    pod = patch("init", "reg/init:2")
    assert container(pod, "init") == container(before, "init")
    assert pod["status"]["observedGeneration"] == 3


def test_a_deleted_pod_stops_within_its_grace_and_then_goes() -> None:
    client = Client()
    history = _running(client)
    client.ok("DELETE", "pods/a")
    assert client.get("pods/a")["metadata"]["deletionGracePeriodSeconds"] == 30
    client.run(5)
    assert client.refused("GET", "pods/a")[0] == 404
    assert history.seen[-1][1]["status"]["phase"] == "Succeeded"
    client.pod("b")
    client.run(5)
    client.ok("DELETE", "pods/b", {"gracePeriodSeconds": 0})
    assert client.refused("GET", "pods/b")[0] == 404


def test_pods_that_never_restart_end() -> None:
    client = Client()
    client.pod("a", image="reg/app:crash", restartPolicy="Never")
    client.run(5)
    assert client.get("pods/a")["status"]["phase"] == "Failed"


def test_a_node_that_is_cut_off_writes_nothing_and_catches_up() -> None:
    client = Client(nodes=1)
    _running(client)
    client.cluster.stop_node("node1")
    client.set_image("pods/a", "reg/app:2")
    client.run(60)
    assert client.get("pods/a")["status"]["observedGeneration"] == 1
    client.cluster.start_node("node1")
    client.run(5)
    assert container(client.get("pods/a"))["image"] == "reg/app:2"


def test_events_tell_the_story() -> None:
    client = Client(events=True)
    _running(client)
    client.set_image("pods/a", "reg/app:2")
    client.run(5)
    told = [event["reason"] for event in client.all("events") if event["involvedObject"]["name"] == "a"]
    assert {"Scheduled", "Pulling", "Pulled", "Created", "Started", "Killing"} <= set(told)
    killing = next(event for event in client.all("events") if event["reason"] == "Killing")
    assert killing["message"] == "Container app definition changed, will be restarted"
    assert killing["involvedObject"]["fieldPath"] == "spec.containers{app}"
