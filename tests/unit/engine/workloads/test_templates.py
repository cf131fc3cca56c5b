"""Templates of ReplicaSets and revisions: what differs in more than images, and the tombstone of the one before."""

import copy
from typing import Any

import msgspec
import pytest

from inplace.engine.workloads.templates import (
    REVISION_HISTORY,
    differences,
    history_replica_set,
    images_of,
    init_names_of,
    is_tombstone_done,
    same_template,
    with_images,
)
from inplace.model.objects.workloads import POD_TEMPLATE_HASH, REVISION
from tests.builders import NEW, OLD, deployment, replica_set, template


def test_images_of_all_containers_sidecars_too() -> None:
    t = template(OLD, initContainers=[{"name": "mesh", "image": "mesh:1", "restartPolicy": "Always"}])
    assert images_of(t) == {**OLD, "mesh": "mesh:1"}
    assert init_names_of(t) == {"mesh"}
    assert images_of({}) == {}


def test_only_the_images_change_and_the_given_template_does_not() -> None:
    t = template({**OLD, "mesh": "mesh:1"}, "abc", initContainers=[{"name": "init", "image": "init:1"}], dnsPolicy="Default")
    before = copy.deepcopy(t)
    changed = with_images(t, {"app": "app:2", "init": "init:2", "gone": "x"})
    assert images_of(changed) == {"app": "app:2", "mesh": "mesh:1", "init": "init:2"}
    assert t == before
    assert with_images(changed, {"app": OLD["app"], "init": "init:1"}) == before


class TestSame:
    def test_the_hash_label_does_not_count(self) -> None:
        assert same_template(template(OLD, "abc"), template(OLD, "def"))
        assert same_template(template(OLD, "abc"), template(OLD))

    def test_images_and_everything_else_do(self) -> None:
        assert not same_template(template(OLD), template(NEW))
        assert not same_template(template(OLD), template(OLD, dnsPolicy="None"))

    @pytest.mark.parametrize("nothing", [None, {}, []])
    def test_nothing_is_nothing_however_it_is_written(self, nothing: Any) -> None:
        assert same_template(template(OLD, volumes=nothing, securityContext=nothing), template(OLD))

    def test_zero_and_false_are_something(self) -> None:
        assert not same_template(template(OLD, hostNetwork=False), template(OLD))
        assert not same_template(template(OLD, terminationGracePeriodSeconds=0), template(OLD))


class TestDifferences:
    def test_images_and_the_hash_are_none(self) -> None:
        assert differences(template(OLD, "a"), template(NEW, "b")) == []

    def test_paths_are_named(self) -> None:
        other = template(OLD, hostNetwork=True)
        other["metadata"]["annotations"] = {"restartedAt": "now"}
        other["spec"]["containers"][0]["env"] = [{"name": "A", "value": "1"}]
        assert differences(template(OLD), other) == ["metadata.annotations", "spec.containers[0].env", "spec.hostNetwork"]

    def test_another_container_is_a_difference(self) -> None:
        assert differences(template(OLD), template({**OLD, "mesh": "mesh:1"})) == ["spec.containers"]


class TestTombstone:
    LIVE = replica_set(
        NEW,
        revision=3,
        annotations={
            REVISION_HISTORY: "1,2",
            "kubernetes.io/change-cause": "v1",
            "deployment.kubernetes.io/desired-replicas": "3",
            "inplace.dev/note": "x",
        },
    )

    def made(self, **fields: Any) -> dict[str, Any]:
        return history_replica_set(deployment(NEW), msgspec.structs.replace(self.LIVE, **fields), OLD)

    def test_a_second_attempt_meets_the_first(self) -> None:
        assert self.made() == self.made()

    def test_the_name_differs_by_revision_live_set_and_images(self) -> None:
        later = replica_set(NEW, revision=4)
        twin = replica_set(NEW, revision=3, uid="other")
        names = {
            history_replica_set(deployment(NEW), rs, images)["metadata"]["name"]
            for rs in (self.LIVE, later, twin)
            for images in (OLD, NEW)
        }
        assert len(names) == 6

    def test_it_holds_the_old_template_and_no_pods(self) -> None:
        made = self.made()
        assert made["spec"]["replicas"] == 0
        assert images_of(made["spec"]["template"]) == OLD
        assert same_template(made["spec"]["template"], template(OLD))

    def test_its_hash_is_its_own_everywhere(self) -> None:
        made = self.made()
        digest = made["metadata"]["labels"][POD_TEMPLATE_HASH]
        assert digest != "1"
        assert made["metadata"]["name"] == f"web-{digest}"
        assert made["spec"]["selector"]["matchLabels"] == {"app": "web", POD_TEMPLATE_HASH: digest}
        assert made["spec"]["template"]["metadata"]["labels"] == {"app": "web", POD_TEMPLATE_HASH: digest}

    def test_annotations_come_along_but_history_and_ours(self) -> None:
        assert self.made()["metadata"]["annotations"] == {
            REVISION: "3",
            "kubernetes.io/change-cause": "v1",
            "deployment.kubernetes.io/desired-replicas": "3",
        }

    def test_the_deployment_owns_it(self) -> None:
        (owner,) = self.made()["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["name"], owner["uid"], owner["controller"]) == (
            "Deployment",
            "web",
            "uid-deploy-web",
            True,
        )

    def test_a_long_name_stays_a_name(self) -> None:
        d = deployment(NEW)
        long = msgspec.structs.replace(d, metadata=msgspec.structs.replace(d.metadata, name="x" * 253))
        assert len(history_replica_set(long, self.LIVE, OLD)["metadata"]["name"]) <= 253

    def test_it_is_json(self) -> None:
        assert msgspec.json.decode(msgspec.json.encode(self.made())) == self.made()

    def test_it_is_done_when_the_live_one_has_a_later_revision(self) -> None:
        assert not is_tombstone_done(self.LIVE, 3)
        assert is_tombstone_done(self.LIVE, 2)
