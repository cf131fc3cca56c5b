"""A run is walked through its states, and whoever looks at it, from wherever, sees what its pods are: in the live view, in
`status`, in `list`, in `history` and in the status of its InPlaceRollout.
"""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.recorder import Object
from tests.recorder.log import RECORD, annotation, condition
from tests.scenarios.cluster_under_test import Running
from tests.scenarios.facts import images_in
from tests.scenarios.rollouts import ONE, Rollouts
from tests.scenarios.scene import WEB, Scene

SETTLE_SECONDS = 600
"""Until every view was looked at, whatever that takes; then it is edited."""
SHORT = {"settleSeconds": 2}


@dataclass(frozen=True)
class Truth:
    """As the pods themselves say it."""

    ready: int
    updated: int
    in_flight: frozenset[str]
    closed: frozenset[str]


class Views:
    """Of `deploy/web`, whose run is to bring container app to `image`."""

    def __init__(self, scene: Scene, image: str) -> None:
        self.scene, self.image = scene, scene.image(image)

    def truth(self) -> Truth:
        pods = self.scene.pods()
        names = {p["metadata"]["name"]: p for p in pods}
        serving = {n for n, p in names.items() if condition(p, "Ready") == "True" and not annotation(p, RECORD)}
        return Truth(
            ready=len(serving),
            updated=sum(images_in(names[n]["spec"])["app"] == self.image for n in serving),
            in_flight=frozenset(n for n, p in names.items() if annotation(p, RECORD)),
            closed=frozenset(n for n, p in names.items() if condition(p, "inplace.dev/ready") != "True"),
        )

    @contextmanager
    def still(self) -> Iterator[Truth]:
        """What is looked at meanwhile is of one moment."""
        before = self.truth()
        yield before
        assert self.truth() == before, "it has moved meanwhile"

    def status(self) -> Object:
        shown = self.scene.inplace("status", WEB, "-o", "json")
        assert shown.code == 0, shown
        found: Object = json.loads(shown.stdout)
        return found

    def text(self) -> str:
        shown = self.scene.inplace("status", WEB)
        assert shown.code == 0, shown
        return shown.stdout

    def listed(self) -> Object:
        shown = self.scene.inplace("list", "-o", "json")
        assert shown.code == 0, shown
        found: list[Object] = json.loads(shown.stdout)["items"]
        assert len(found) == 1
        return found[0]

    def check(self, standing: str, *words: str, of: str = "pods updated", count: int | None = None) -> Object:
        """`status`, as text and as JSON, and `list` say the same, and what the pods say. `count`: where it is not those that
        are updated that the text counts."""
        with self.still() as before:
            status, text, listed = self.status(), self.text(), self.listed()
        counts, first = status["counts"], text.splitlines()[0]
        assert (status["state"]["standing"], listed["standing"]) == (standing, standing), (status, listed)
        assert (counts["ready"], counts["updated"], counts["inFlight"]) == (
            before.ready,
            before.updated,
            len(before.in_flight),
        ), (counts, before)
        assert {p["name"] for p in status["pods"] if p["gate"] != "Open"} == before.closed
        assert first.startswith(f"{WEB} in {self.scene.ns}: {standing}"), text
        for word in words:
            assert word in text, (word, text)
        shown = before.updated if count is None else count
        assert f"{shown} of {counts['desired']} {of}, {len(before.in_flight)} in flight" in text, text
        return status

    def check_all(self, rollouts: Rollouts, standing: str, *words: str) -> Object:
        """And the InPlaceRollout's status says so, too."""
        self.check(standing, *words)
        return self.check_rollout(rollouts.status("up"))

    def check_rollout(self, status: Object) -> Object:
        now = self.truth()
        assert (status["ready"], status["updated"]) == (now.ready, now.updated), (status, now)
        assert {p["name"] for p in status.get("inFlight", [])} == now.in_flight
        assert status["draining"] == sum(p["stage"] in ("Closing", "Settling") for p in status.get("inFlight", []))
        return status


def stages_in(lines: str) -> dict[str, str]:
    """What the live view told last of each pod, as lines."""
    return dict(re.findall(r"pod/(\S+) ([A-Z][a-z]+)", lines))


def test_every_view_of_a_rollout_says_what_its_pods_are(scene: Scene, rollouts: Rollouts) -> None:
    scene.web(3)
    rollouts.control()
    views = Views(scene, "app:2")
    steps = [{"pods": 1}, {"pause": {}}, {"pods": 2}, {"pause": {"seconds": 600}}, {"pods": "100%"}]
    drain = {"settleSeconds": SETTLE_SECONDS}
    rollouts.apply("up", app="app:2", strategy={**ONE, "steps": steps}, drain=drain)
    live = scene.stage.start("watch", WEB)

    scene.until(lambda: _settles(views, rollouts, live), "a pod settles, in every view", 60)
    rollouts.edit("up", drain=SHORT)

    rollouts.until("up", "Paused")
    scene.until(lambda: views.check_all(rollouts, "Paused", "pause (here)"), "at a step's pause")
    scene.patch(WEB, {"spec": {"replicas": 4}})
    scene.until(lambda: len(scene.pods()) == 4, "a 4th pod")
    scene.until_all_serve()
    scene.until(lambda: views.check_all(rollouts, "Paused")["desired"] == 4, "scaled while it stands")

    rollouts.ask("up", "promote")
    scene.until(lambda: views.truth().in_flight, "the next pod is in flight")
    rollouts.edit("up", paused=True)
    rollouts.until("up", "Paused")
    scene.until(lambda: views.check_all(rollouts, "Paused"), "paused in flight")
    assert not views.truth().in_flight

    rollouts.edit("up", paused=False)
    scene.until(lambda: rollouts.status("up").get("until"), "a timed pause", 120)
    scene.stage.let_pass(3)
    left = scene.until(lambda: _rests(views), "everybody says how long still")
    assert 300 < left < 598, "it is told by when the pause began"
    views.check_rollout(rollouts.status("up"))

    rollouts.edit("up", drain=drain)
    asked = scene.stage.start("abort", WEB)
    scene.until(lambda: _goes_back(views, rollouts), "it goes back, in every view", 120)
    rollouts.edit("up", drain=SHORT)
    assert asked.wait().code == 0
    rollouts.until("up", "Aborted")
    scene.until(
        lambda: views.check("Aborted", "Aborted by ", "(rolled back)", of="pods back", count=4), "aborted, in every view"
    )
    status = rollouts.status("up")
    views.check_rollout(status)
    assert (status["updated"], status["target"], status["image"]) == (0, WEB, "app:2")
    assert status["message"].startswith("aborted by "), status
    assert {pod["stage"] for pod in views.status()["pods"]} == {"Restored"}
    live.send(signal.SIGINT)
    live.wait()


def _settles(views: Views, rollouts: Rollouts, live: Running) -> bool:
    """One pod is drained and rests: for how long still, and since when."""
    with views.still() as before:
        assert len(before.in_flight) == 1
        (name,) = before.in_flight
        status, text, rollout, told = views.status(), views.text(), rollouts.status("up"), live.stdout
    (pod,) = (p for p in status["pods"] if p["name"] == name)
    assert (pod["stage"], stages_in(told).get(name)) == ("Settling", "Settling"), (pod, told)
    assert [(p["name"], p["stage"]) for p in rollout.get("inFlight", [])] == [(name, "Settling")]
    views.check_rollout(rollout)
    (flying,) = rollout["inFlight"]
    assert flying["reason"] == pod["reason"]
    assert flying["until"] > flying["since"]
    assert 0 < pod["leftSeconds"] <= SETTLE_SECONDS
    (line,) = (line for line in text.splitlines() if name in line)
    assert re.search(r"Settling .* left", line), line
    return True


def _rests(views: Views) -> float:
    status = views.check("Running", "pause 10m (here, ", " left)")
    (here,) = (s for s in status["state"]["steps"] if s["state"] == "here")
    assert abs(here["leftSeconds"] - status["waitingLeftSeconds"]) < 5, status
    return float(here["leftSeconds"])


def _goes_back(views: Views, rollouts: Rollouts) -> bool:
    """Who is there yet, and who has still the new image."""
    with views.still() as before:
        status, rollout = views.status(), rollouts.status("up")
    stages = {p["name"]: p["stage"] for p in status["pods"]}
    assert before.in_flight
    assert sum(stage == "Updated" for stage in stages.values()) == before.updated == rollout["updated"]
    assert sum(stage == "Restored" for stage in stages.values()) == before.ready - before.updated
    return True


def test_what_came_after_a_run_is_told(scene: Scene) -> None:
    """Driven by somebody else, undone, and then superseded by a classic rollout."""
    scene.web(2)
    driver = scene.start("--max-unavailable", "1", "--steps", "1,pause:2s,100%", app="app:2")
    views = Views(scene, "app:2")

    def driven() -> Any:
        status = views.status()
        assert status["state"] is not None
        assert (status["state"]["standing"], bool(status["state"]["holder"])) == ("Running", True)
        assert status["counts"]["inFlight"] == 1
        return status

    scene.until(driven, "somebody else drives it", 60)
    assert scene.end(driver).report["sameIps"] == 2
    views.check("Succeeded")
    assert scene.inplace("undo", WEB, "--settle", "0s").code == 0
    back = Views(scene, "app:1")
    back.check("Succeeded", "Succeeded at ")

    scene.patch(WEB, {"spec": {"template": {"spec": {"containers": [{"name": "app", "image": scene.image("app:3")}]}}}})

    def rolled_out() -> bool:
        scene.open_gates(gate="inplace.dev/ready")
        pods = scene.pods()
        return len(pods) == 2 and all(images_in(p["spec"])["app"] == scene.image("app:3") for p in pods)

    scene.until(rolled_out, "a classic rollout")
    status, text = back.status(), back.text()
    over = f"its template says app={scene.image('app:3')} now"
    assert (status["state"]["standing"], status["state"]["superseded"]) == ("Superseded", over)
    assert f"superseded since: {over}" in text
    assert "Pending" not in text, text
    assert back.listed()["standing"] == "Superseded"
    assert f"superseded since: {over}" in scene.inplace("history", WEB).stdout


def test_pods_that_are_born_in_the_middle_keep_their_addresses(scene: Scene) -> None:
    scene.web(2)
    gates = scene.run_gates()
    driver = scene.start("--max-unavailable", "1", "--steps", "1,pause:30s,100%", settle="0s", app="app:2")
    scene.until(lambda: "pausing" in driver.stderr, "it stands at its pause", 60)
    scene.patch(WEB, {"spec": {"replicas": 4}})
    report = scene.end(driver).report
    assert (report["touched"], report["sameUids"], report["sameIps"]) == (4, 4, 4)
    gates.send(signal.SIGTERM)
    gates.wait()
