"""`-o json` of the commands that drive a run, against what docs/json.md says of it."""

from __future__ import annotations

from tests.documents import document
from tests.scenarios.scene import Scene


def test_each_end_is_the_document_that_is_described(scene: Scene) -> None:
    scene.web(2)
    as_json = ("-o", "json", "-q")
    command = scene.command("--steps", "50%,pause,100%", "--max-unavailable", "1", app="app:2")
    paused = document(scene.inplace(*command, *as_json).stdout, "summary")
    assert (paused["outcome"], paused["updated"]) == ("Paused", 1)
    assert all(caution.keys() == {"reason", "message"} for caution in paused["cautions"])
    assert document(scene.inplace(*command, *as_json).stdout, "said")["outcome"] == "Paused"
    status = document(scene.inplace("status", "deploy/web", "-o", "json").stdout, "status")
    assert status["state"]["run"]["by"].endswith("admin")
    document(scene.inplace("list", "-o", "json").stdout, "list")
    assert document(scene.inplace("promote", "deploy/web", *as_json).stdout, "summary")["outcome"] == "Succeeded"
    assert document(scene.inplace("undo", "deploy/web", *as_json).stdout, "summary")["doing"] == "Undo"
    history = document(scene.inplace("history", "deploy/web", "-o", "json").stdout, "history")
    assert [entry["by"][-5:] for entry in history["items"] if entry["run"]] == ["admin", "admin"]
    assert scene.inplace(*scene.command("--steps", "1,pause,100%", app="app:2")).code == 4
    assert document(scene.inplace("abort", "deploy/web", *as_json).stdout, "summary")["outcome"] == "Aborted"
    repaired = document(scene.inplace("repair", "-o", "json").stdout, "repair")
    assert (repaired["items"], repaired["isClean"]) == ([], True)


def test_a_caution_is_in_the_summary(scene: Scene) -> None:
    """As `plan -o json` tells it."""
    scene.web(1)
    command = scene.command("--allow-outage", app="app:2")
    planned = document(scene.inplace("plan", *command[1:], "-o", "json").stdout, "plan")
    done = document(scene.inplace(*command, "-o", "json", "-q").stdout, "summary")
    assert done["cautions"] == planned["cautions"]
    assert "LastEndpoint" in {caution["reason"] for caution in done["cautions"]}
