"""A run that a command drives leaves the Events that the controller's would, by whom the API server says."""

from __future__ import annotations

from collections import Counter
from typing import Any

from tests.scenarios.scene import Scene


def told(scene: Scene) -> list[dict[str, Any]]:
    """By our commands, in the order of time."""
    ours = [event for event in scene.all("Event") if event.get("reportingController") == "inplace.dev/cli"]
    return sorted(ours, key=lambda event: str(event["eventTime"]))


def test_a_run_is_told_on_its_target_and_its_pods(scene: Scene) -> None:
    scene.web(2)
    command = scene.command("--steps", "50%,pause,100%", "--max-unavailable", "1", app="app:2")
    assert scene.inplace(*command).code == 4
    assert scene.inplace("resume", "deploy/web").code == 0
    assert scene.inplace("undo", "deploy/web").code == 0
    events = told(scene)
    of_target = [event for event in events if event["regarding"]["kind"] == "Deployment"]
    assert [event["reason"] for event in of_target] == [
        "RunStarted",
        "RunPaused",
        "RunResumed",
        "RunSucceeded",
        "RunStarted",
        "RunSucceeded",
    ]
    assert {event["regarding"]["uid"] for event in of_target} == {scene.get("deploy/web")["metadata"]["uid"]}
    run = scene.stored_run()
    begun, old, new = of_target[0]["note"], scene.image("app:1"), scene.image("app:2")
    assert begun.endswith(f": upgrading 2 pods: app={old} -> app={new} (by {run['by']} ({run['client']}))")
    assert of_target[-1]["note"] == f"run {run['id']}: 2 of 2 pods updated"
    of_pods = Counter((event["regarding"]["name"], event["reason"]) for event in events if event["regarding"]["kind"] == "Pod")
    for name in scene.before:
        assert (of_pods[name, "PodUpgraded"], of_pods[name, "PodClosed"]) == (2, 2)
