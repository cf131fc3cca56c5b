"""Targets and images as kubectl's users write them."""

import pytest

from inplace.cli.common.targets import parse_arguments, parse_target
from inplace.model.refs import TargetRef

DIGEST = "sha256:" + "0" * 64


@pytest.mark.parametrize(
    "words", ["deploy/web", "deployment web", "deployments.apps/web", "deployments.v1.apps/web", "Deployment/web"]
)
def test_a_deployment(words: str) -> None:
    assert parse_target(words.split()) == TargetRef("Deployment", "", "web")


@pytest.mark.parametrize("words", ["rs/web", "replicaset/web", "replicasets web"])
def test_a_replica_set(words: str) -> None:
    assert parse_target(words.split()) == TargetRef("ReplicaSet", "", "web")


@pytest.mark.parametrize("words", ["pod/a pod/b", "pods a b", "po/a pods/b"])
def test_pods_by_name(words: str) -> None:
    assert parse_target(words.split()) == TargetRef("Pods", "", pod_names=("a", "b"))


@pytest.mark.parametrize("selector", ["app=web", "app==web,tier!=test", "app in (a, b),!old", "example.com/x,app notin (c)"])
def test_pods_by_label(selector: str) -> None:
    assert parse_target(["pods"], selector) == TargetRef("Pods", "", selector=selector)


@pytest.mark.parametrize("selector", ["=", "app=web,", "app in a", "app in ()x", "a b", "app=ü", "app=web;rm"])
def test_what_is_no_selector(selector: str) -> None:
    with pytest.raises(ValueError, match="is no label selector"):
        parse_target(["pods"], selector)


def test_images_follow_the_target() -> None:
    target, images = parse_arguments(["deploy", "web", f"app=repo:5000/a/app@{DIGEST}", "side=side"])
    assert str(target) == "deploy/web"
    assert images == {"app": f"repo:5000/a/app@{DIGEST}", "side": "side"}


@pytest.mark.parametrize("words", ["deploy/web", "rs/web", "pod/a pod/b"])
def test_a_target_can_be_written_down_again(words: str) -> None:
    assert parse_target(words.split()).cli_args == tuple(words.split())


def test_a_selection_can_be_written_down_again() -> None:
    assert parse_target(["pods"], "app=x").cli_args == ("pods", "-l", "app=x")
