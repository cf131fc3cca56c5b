"""Every rule must be able to fail: one log for each way to break it, next to those that do not."""

import random

import pytest

from tests.recorder import Rules, validate
from tests.recorder.log import HOLDS, RECORD
from tests.recorder.rules import REVISION_HASH
from tests.unit.recorder.example_logs import ExampleLog

RULES = Rules(max_unavailable=1, workload="Deployment/web", upgraded=1, writes_per_pod=3)
RULES_BUDGET = Rules(max_unavailable=1, workload="Deployment/web")
LOOSE = Rules(one_restart=False)


@pytest.fixture
def story() -> ExampleLog:
    return ExampleLog()


def only(violations: list[str], *parts: str) -> None:
    assert len(violations) == 1, violations
    assert all(part in violations[0] for part in parts), violations


def test_a_clean_upgrade_breaks_nothing(story: ExampleLog) -> None:
    story.upgrade("p0")
    assert validate(story.events, RULES) == []


def test_arrival_order_does_not_matter(story: ExampleLog) -> None:
    story.upgrade("p0")
    random.Random(1).shuffle(story.events)
    assert validate(story.events, RULES) == []


def test_all_pods_one_after_the_other(story: ExampleLog) -> None:
    story.upgrade("p0")
    story.upgrade("p1")
    assert validate(story.events, Rules(max_unavailable=1, workload="Deployment/web", upgraded=2, writes_per_pod=3)) == []


class TestBudget:
    def test_two_closed_at_once(self, story: ExampleLog) -> None:
        story.gate("p0", "False", "{}")
        story.gate("p1", "False", "{}")
        only(validate(story.events, RULES_BUDGET), "I1", "closing p1 makes 2 pods unavailable", "1 are allowed")

    def test_another_pod_was_not_ready(self, story: ExampleLog) -> None:
        story.ready("p1", "False")
        story.gate("p0", "False", "{}")
        only(validate(story.events, RULES_BUDGET), "I1", "p0")

    def test_another_pod_was_terminating(self, story: ExampleLog) -> None:
        story.objects["p1"]["metadata"]["deletionTimestamp"] = "now"
        story.log("Pod", "p1")
        story.gate("p0", "False", "{}")
        only(validate(story.events, RULES_BUDGET), "I1", "p0")

    def test_another_pod_was_missing(self, story: ExampleLog) -> None:
        story.log("Pod", "p1", "DELETED")
        story.gate("p0", "False", "{}")
        only(validate(story.events, RULES_BUDGET), "I1", "p0")

    def test_a_foreign_pod_does_not_count(self, story: ExampleLog) -> None:
        story.add_pod("other")
        story.objects["other"]["metadata"]["labels"] = {}
        story.log("Pod", "other")
        story.ready("other", "False")
        story.gate("p0", "False", "{}")
        assert validate(story.events, RULES_BUDGET) == []

    def test_without_a_workload_every_pod_counts(self, story: ExampleLog) -> None:
        story.ready("p1", "False")
        story.gate("p0", "False", "{}")
        only(validate(story.events, Rules(max_unavailable=1)), "I1", "p0")

    def test_a_pod_that_was_not_ready_costs_nothing(self, story: ExampleLog) -> None:
        story.ready("p0", "False")
        story.ready("p1", "False")
        story.gate("p0", "False", "{}")
        assert validate(story.events, RULES_BUDGET) == []

    def test_a_person_may_close_what_they_like(self, story: ExampleLog) -> None:
        story.gate("p0", "False", manager="kubectl-patch")
        story.gate("p1", "False", manager="kubectl-patch")
        assert validate(story.events, RULES_BUDGET) == []

    def test_the_gate_controller_closes_for_a_label(self, story: ExampleLog) -> None:
        story.gate("p0", "False", "{}")
        story.objects["p1"]["metadata"]["annotations"][HOLDS] = "label"
        story.gate("p1", "False")
        assert validate(story.events, RULES_BUDGET) == []

    def test_closed_by_us_without_a_record(self, story: ExampleLog) -> None:
        story.gate("p0", "False")
        story.gate("p1", "False")
        only(validate(story.events, RULES_BUDGET), "I1", "p1")

    def test_closed_with_a_record_under_whatever_name(self, story: ExampleLog) -> None:
        story.gate("p0", "False", "{}", manager="custom")
        story.gate("p1", "False", "{}", manager="custom")
        only(validate(story.events, RULES_BUDGET), "I1", "p1")

    def test_a_write_of_ours_that_closes_nothing(self, story: ExampleLog) -> None:
        story.ready("p1", "False")
        story.gate("p0", "True", "{}")
        assert validate(story.events, Rules(max_unavailable=0)) == []

    def test_a_workload_that_is_not_there_is_a_mistake_of_the_test(self, story: ExampleLog) -> None:
        story.gate("p0", "False", "{}")
        with pytest.raises(ValueError, match="Deployment/nope is not in the log"):
            validate(story.events, Rules(max_unavailable=1, workload="Deployment/nope"))


class TestDrained:
    def test_image_changed_while_ready(self, story: ExampleLog) -> None:
        story.gate("p0", "False", "{}")
        story.slice("p0", False)
        story.image("p0", "app:2")
        only(validate(story.events, LOOSE), "I2", "p0 (app)", "while the pod was Ready")

    def test_image_changed_with_the_gate_open(self, story: ExampleLog) -> None:
        story.ready("p0", "False")
        story.slice("p0", False)
        story.image("p0", "app:2")
        only(validate(story.events, LOOSE), "I2", "gate was not closed")

    @pytest.mark.parametrize("ready", [True, None])
    def test_a_slice_still_sends(self, story: ExampleLog, ready: bool | None) -> None:
        story.drain("p0")
        story.slice("p0", ready)
        story.image("p0", "app:2")
        only(validate(story.events, LOOSE), "I2", "a slice of web still sent")

    def test_a_slice_that_turns_one_version_later_is_too_late(self, story: ExampleLog) -> None:
        story.gate("p0", "False", "{}")
        story.ready("p0", "False")
        story.image("p0", "app:2")
        story.slice("p0", False)
        only(validate(story.events[:-2] + story.events[:-3:-1], LOOSE), "I2", "still sent")

    def test_a_slice_without_target_counts_by_address(self, story: ExampleLog) -> None:
        story.drain("p0")
        story.slice("p0", True, targetRef=None)
        story.image("p0", "app:2")
        only(validate(story.events, LOOSE), "I2", "still sent")

    def test_the_address_of_the_host_counts_for_no_pod(self, story: ExampleLog) -> None:
        story.objects["p0"]["spec"]["hostNetwork"] = True
        story.drain("p0")
        story.slice("p0", True, targetRef=None)
        story.image("p0", "app:2")
        assert validate(story.events, LOOSE) == []

    def test_an_accepted_service_may_go_on(self, story: ExampleLog) -> None:
        story.drain("p0")
        story.slice("p0", True)
        story.image("p0", "app:2")
        assert validate(story.events, Rules(one_restart=False, undrainable=frozenset({"web"}))) == []

    def test_a_slice_that_is_gone_sends_nothing(self, story: ExampleLog) -> None:
        story.gate("p0", "False", "{}")
        story.ready("p0", "False")
        story.log("EndpointSlice", "web-x", "DELETED")
        story.image("p0", "app:2")
        assert validate(story.events, LOOSE) == []


class TestProven:
    def test_opened_before_the_restart(self, story: ExampleLog) -> None:
        story.drain("p0")
        story.image("p0", "app:2")
        story.objects["p0"]["status"]["observedGeneration"] = 2
        story.gate("p0", "True")
        only(validate(story.events, LOOSE), "I3", "before container app was restarted")

    def test_one_of_two_was_not_restarted(self, story: ExampleLog) -> None:
        story.drain("p0")
        story.image("p0", "app:2")
        story.image("p0", "side:2", container=1)
        story.restart("p0")
        story.gate("p0", "True")
        only(validate(story.events, LOOSE), "I3", "before container side was restarted")

    def test_a_crash_before_the_patch_is_no_restart(self, story: ExampleLog) -> None:
        story.drain("p0")
        story.restart("p0")
        story.image("p0", "app:2")
        story.objects["p0"]["status"]["observedGeneration"] = 2
        story.gate("p0", "True")
        only(validate(story.events, LOOSE), "I3", "before container app was restarted")

    def test_opened_while_it_did_not_run(self, story: ExampleLog) -> None:
        story.drain("p0")
        story.image("p0", "app:2")
        story.restart("p0", state={"waiting": {}})
        story.gate("p0", "True")
        only(validate(story.events, LOOSE), "I3", "app was not running")

    def test_opened_before_the_kubelet_saw_the_generation(self, story: ExampleLog) -> None:
        story.drain("p0")
        story.image("p0", "app:2")
        story.restart("p0", seen=False)
        story.gate("p0", "True")
        only(validate(story.events, LOOSE), "I3", "seen its generation")

    def test_an_image_taken_back_in_time_needs_no_restart(self, story: ExampleLog) -> None:
        story.drain("p0")
        story.image("p0", "app:2")
        story.image("p0", "app:1")
        story.objects["p0"]["status"]["observedGeneration"] = 3
        story.gate("p0", "True")
        assert validate(story.events, LOOSE) == []

    def test_an_image_taken_back_too_late_does(self, story: ExampleLog) -> None:
        story.drain("p0")
        story.image("p0", "app:2")
        story.restart("p0")
        story.image("p0", "app:1")
        story.objects["p0"]["status"]["observedGeneration"] = 3
        story.gate("p0", "True")
        only(validate(story.events, LOOSE), "I3", "before container app was restarted")

    def test_ready_with_a_container_that_is_not(self, story: ExampleLog) -> None:
        story.restart("p0", ready=False)
        only(validate(story.events, LOOSE), "I3", "p0 is Ready while container app is not")


class TestKept:
    def test_the_address_changed(self, story: ExampleLog) -> None:
        story.objects["p0"]["status"]["podIP"] = "10.0.9.9"
        story.log("Pod", "p0")
        only(validate(story.events, RULES_BUDGET), "I8", "10.0.9.9")

    def test_restarted_twice(self, story: ExampleLog) -> None:
        story.upgrade("p0")
        story.restart("p0")
        only(validate(story.events, RULES), "I8", "1 image changes, 2 new container ids and 2 restarts")

    def test_an_unchanged_container_was_restarted(self, story: ExampleLog) -> None:
        story.upgrade("p0")
        story.restart("p0", container=1)
        only(validate(story.events, RULES), "I8", "container side of p0 had 0 image changes")

    def test_never_restarted(self, story: ExampleLog) -> None:
        story.drain("p0")
        story.image("p0", "app:2")
        only(validate(story.events, RULES_BUDGET), "I8", "1 image changes, 0 new container ids")

    @pytest.mark.parametrize("containers", [1, 2])
    def test_an_image_changed_before_any_container_began_needs_none(self, story: ExampleLog, containers: int) -> None:
        """The kubelet may have been about to start the image before, or not yet."""
        status = story.objects["p0"]["status"]["containerStatuses"][0]
        del status["containerID"]
        story.events.clear()
        story.log("Pod", "p0", "ADDED")
        story.image("p0", "app:2")
        for number in range(1, containers + 1):
            status.update(containerID=f"p0-app-{number}", restartCount=number - 1)
            story.log("Pod", "p0")
        assert validate(story.events, Rules(drains=False)) == []

    def test_a_pod_that_is_gone_need_not_have_restarted(self, story: ExampleLog) -> None:
        story.drain("p0")
        story.image("p0", "app:2")
        story.log("Pod", "p0", "DELETED")
        assert validate(story.events, RULES_BUDGET) == []

    def test_a_second_replicaset_got_pods(self, story: ExampleLog) -> None:
        story.put("ReplicaSet", "web-2", {"spec": {"replicas": 1}}, owner="uid-web")
        only(validate(story.events, RULES_BUDGET), "ReplicaSet web-2 got pods")

    def test_a_tombstone_is_fine_until_it_gets_pods(self, story: ExampleLog) -> None:
        story.put("ReplicaSet", "web-2", {"spec": {"replicas": 0}}, owner="uid-web")
        assert validate(story.events, RULES_BUDGET) == []
        story.objects["web-2"]["spec"]["replicas"] = 2
        story.log("ReplicaSet", "web-2")
        only(validate(story.events, RULES_BUDGET), "ReplicaSet web-2 got pods")

    def test_the_replicaset_that_had_the_pods_at_the_mark_is_the_one(self, story: ExampleLog) -> None:
        story.objects["web-1"]["spec"]["replicas"] = 0
        story.log("ReplicaSet", "web-1")
        story.put("ReplicaSet", "web-2", {"spec": {"replicas": 2}}, owner="uid-web")
        mark = len(story.events)
        story.objects["web-2"]["spec"]["replicas"] = 3
        story.log("ReplicaSet", "web-2")
        assert validate(story.events, Rules(since=mark)) == []
        story.objects["web-1"]["spec"]["replicas"] = 1
        story.log("ReplicaSet", "web-1")
        only(validate(story.events, Rules(since=mark)), "ReplicaSet web-1 got pods")

    def test_replicasets_of_nobody_and_those_allowed(self, story: ExampleLog) -> None:
        story.put("ReplicaSet", "a", {"spec": {"replicas": 1}})
        story.put("ReplicaSet", "b", {"spec": {"replicas": 1}})
        assert validate(story.events, RULES_BUDGET) == []
        story.put("ReplicaSet", "web-2", {"spec": {"replicas": 1}}, owner="uid-web")
        assert validate(story.events, Rules(one_replicaset=False)) == []


class TestRevisions:
    """p0 is of a StatefulSet `db`, or of a DaemonSet, with revisions of app:1 and app:2."""

    @pytest.fixture(params=["db-{}", "{}"], ids=["by name", "by hash"])
    def label(self, request: pytest.FixtureRequest, story: ExampleLog) -> str:
        for number in (1, 2):
            template = {"spec": {"containers": [{"name": "app", "image": f"app:{number}"}]}}
            story.put("ControllerRevision", f"db-{number}", {"data": {"spec": {"template": template}}}, owner="uid-db")
            story.objects[f"db-{number}"]["metadata"]["labels"] = {REVISION_HASH: str(number)}
            story.log("ControllerRevision", f"db-{number}")
        story.objects["p0"]["metadata"]["ownerReferences"] = [{"uid": "uid-db", "controller": True}]
        self.labelled(story, str(request.param).format(1))
        story.drain("p0")
        return str(request.param).format(2)

    def labelled(self, story: ExampleLog, label: str) -> None:
        story.objects["p0"]["metadata"]["labels"][REVISION_HASH] = label

    def test_label_and_image_together(self, story: ExampleLog, label: str) -> None:
        self.labelled(story, label)
        story.image("p0", "app:2")
        story.restart("p0")
        assert validate(story.events, Rules()) == []

    def test_the_image_before_the_label(self, story: ExampleLog, label: str) -> None:
        story.image("p0", "app:2")
        self.labelled(story, label)
        story.restart("p0")
        only(validate(story.events, Rules()), "p0 runs app=app:2, and is labelled as of db-1: app:1")

    def test_the_label_before_the_image(self, story: ExampleLog, label: str) -> None:
        self.labelled(story, label)
        story.log("Pod", "p0")
        story.image("p0", "app:2")
        story.restart("p0")
        only(validate(story.events, Rules()), "p0 runs app=app:1, and is labelled as of db-2: app:2")

    def test_revisions_of_others_mean_nothing(self, story: ExampleLog, label: str) -> None:
        story.objects["p0"]["metadata"]["ownerReferences"][0]["uid"] = "uid-other"
        story.image("p0", "app:2")
        story.restart("p0")
        assert validate(story.events, Rules()) == []


class TestCounts:
    def test_pods_upgraded_before_the_mark_do_not_count(self, story: ExampleLog) -> None:
        story.drain("p0")
        story.image("p0", "app:2")
        story.restart("p0")
        opened = story.gate("p0", "True")
        assert validate(story.events, Rules(upgraded=0, since=opened)) == []
        assert validate(story.events, Rules(upgraded=1, one_restart=False, since=opened - 1)) == []

    def test_fewer_pods_upgraded_than_said(self, story: ExampleLog) -> None:
        only(validate(story.events, RULES), "0 pods were upgraded in place, not 1")

    def test_a_write_too_many(self, story: ExampleLog) -> None:
        story.upgrade("p0")
        story.objects["p0"]["metadata"]["annotations"][RECORD] = "again"
        story.wrote("p0", "inplace", "", {"more": 1})
        story.log("Pod", "p0")
        only(validate(story.events, RULES), "p0 was written 4 times by us, not 3")


def test_what_came_before_the_mark_is_not_judged(story: ExampleLog) -> None:
    story.image("p0", "app:2")
    mark = story.restart("p0", ready=False)
    assert validate(story.events, Rules()) != []
    assert validate(story.events, Rules(since=mark)) == []
    only(validate(story.events, Rules(since=mark - 1, one_restart=False)), "is Ready while")
