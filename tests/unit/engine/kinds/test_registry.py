"""The registry of kinds: a page for each, and the page that its targets get."""

from __future__ import annotations

from typing import get_args

import pytest

from inplace.engine.kinds.registry import STRATEGIES, strategy_for
from inplace.engine.snapshot import DaemonSetTarget, DeploymentTarget, PodsTarget, ReplicaSetTarget, StatefulSetTarget, Target
from inplace.model.refs import TargetKind
from tests.builders import observed


def test_every_kind_of_target_has_a_page() -> None:
    assert set(STRATEGIES) == set(get_args(TargetKind)) == {target.kind for target in get_args(Target)}


@pytest.mark.parametrize(
    "target",
    [DeploymentTarget(None, ()), ReplicaSetTarget(None), StatefulSetTarget(None, ()), DaemonSetTarget(None, ()), PodsTarget()],
)
def test_a_target_gets_the_page_of_its_kind(target: Target) -> None:
    page = strategy_for(observed(target=target))
    assert isinstance(page, STRATEGIES[target.kind])
    assert page.has_controller is (target.kind != "Pods")
