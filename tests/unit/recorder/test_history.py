"""The plain questions: who wrote, who survived, what restarted, which ReplicaSets lived."""

from tests.recorder import active_replicasets, restarts, survivors, writes_after, writes_by_us
from tests.unit.recorder.example_logs import GATE, ExampleLog


def test_an_upgrade_is_three_writes_of_ours() -> None:
    story = ExampleLog()
    story.upgrade("p0")
    assert writes_by_us(story.events, "uid-p0") == 3
    assert writes_by_us(story.events, "uid-p1") == 0


def test_a_new_time_is_a_write_even_if_nothing_we_know_changed() -> None:
    story = ExampleLog()
    story.gate("p0", "False", "{}")
    story.tick()
    story.wrote("p0", "inplace", "status", {"record": "{}"})
    story.log("Pod", "p0")
    assert writes_by_us(story.events, "uid-p0") == 2


def test_two_writes_in_one_second_are_told_apart_by_the_record() -> None:
    story = ExampleLog()
    story.gate("p0", "False", "{1}")
    story.gate("p0", "False", "{2}")
    assert writes_by_us(story.events, "uid-p0") == 2


def test_or_by_the_fields_we_own() -> None:
    story = ExampleLog()
    story.gate("p0", "False", "{1}")
    story.wrote("p0", "inplace", "status", {"more": 1})
    story.log("Pod", "p0")
    assert writes_by_us(story.events, "uid-p0") == 2


def test_or_by_the_gate_alone() -> None:
    story = ExampleLog()
    story.gate("p0", "False", "{1}")
    story.condition("p0", GATE, "True")
    story.log("Pod", "p0")
    assert writes_by_us(story.events, "uid-p0") == 2


def test_the_kubelet_in_the_same_second_is_not_us() -> None:
    story = ExampleLog()
    story.gate("p0", "False", "{}")
    story.ready("p0", "False")
    story.ready("p0", "True")
    assert writes_by_us(story.events, "uid-p0") == 1


def test_a_person_who_takes_the_gate_over_is_not_us() -> None:
    story = ExampleLog()
    story.gate("p0", "False", "{}")
    story.tick()
    story.condition("p0", GATE, "True")
    story.objects["p0"]["metadata"]["managedFields"][0]["fieldsV1"] = '{"less": 1}'
    story.wrote("p0", "kubectl-patch", "status")
    story.log("Pod", "p0")
    assert writes_by_us(story.events, "uid-p0") == 1


def test_a_manager_that_only_contains_our_name_is_not_us() -> None:
    story = ExampleLog()
    story.gate("p0", "False", "{}", manager="not-inplace")
    assert writes_by_us(story.events, "uid-p0") == 0


def test_writes_since_a_version() -> None:
    story = ExampleLog()
    mark = story.gate("p0", "False", "{1}")
    story.gate("p0", "True")
    assert writes_by_us(story.events, "uid-p0", since=mark) == 1
    assert writes_by_us(story.events, "uid-p0", since=mark - 1) == 2


def test_survivors_keep_uid_and_address() -> None:
    story = ExampleLog(pods=5)
    mark = len(story.events)
    story.log("Pod", "p1", "DELETED")
    story.objects["p2"]["status"]["podIP"] = "10.0.9.9"
    story.log("Pod", "p2")
    story.objects["p3"]["metadata"]["deletionTimestamp"] = "now"
    story.log("Pod", "p3")
    story.objects["p4"]["status"]["phase"] = "Failed"
    story.log("Pod", "p4")
    story.add_pod("late")
    assert survivors(story.events, mark) == {"uid-p0"}


def test_restarts_by_container() -> None:
    story = ExampleLog()
    story.image("p0", "app:2")
    story.restart("p0")
    app, side = (restarts(story.events)["uid-p0", c] for c in ("app", "side"))
    assert (app.image_changes, app.id_changes, app.count_growth) == (1, 1, 1)
    assert (side.image_changes, side.id_changes, side.count_growth) == (0, 0, 0)


def test_a_restart_counts_though_the_id_was_gone_for_a_moment() -> None:
    story = ExampleLog()
    status = story.objects["p0"]["status"]["containerStatuses"][0]
    status["containerID"] = ""
    story.log("Pod", "p0")
    story.restart("p0")
    assert restarts(story.events)["uid-p0", "app"].id_changes == 1


def test_active_replicasets_over_time() -> None:
    story = ExampleLog()
    story.put("ReplicaSet", "web-2", {"spec": {"replicas": 0}, "status": {"replicas": 0}}, owner="uid-web")
    quiet = active_replicasets(story.events)
    story.objects["web-2"]["status"]["replicas"] = 1
    rv = story.log("ReplicaSet", "web-2")
    assert quiet == [(2, frozenset({"web-1"}))]
    assert active_replicasets(story.events)[1:] == [(rv, frozenset({"web-1", "web-2"}))]


def test_writes_after_are_all_events_of_later_versions() -> None:
    story = ExampleLog()
    mark = len(story.events)
    assert writes_after(story.events, mark) == []
    rv = story.ready("p0", "False")
    assert [e.rv for e in writes_after(story.events, mark)] == [rv]
