"""`status` as a tree."""

from typing import Any

from inplace.cli.output.tree import rows
from inplace.runtime.foreground.target_status import PodState, TargetStatus


def pod(name: str, owner: str = "rs/web-2", revision: int = 2, **fields: Any) -> PodState:
    base: dict[str, Any] = {"stage": "", "reason": "", "images": {"app": "repo/app:1"}, "closed_by": ""}
    return PodState(name, f"uid-{name}", "node-1", True, "Open", owner=owner, revision=revision, **{**base, **fields})


def drawn(*pods: PodState) -> list[str]:
    return [row[0] for row in rows(TargetStatus(1, "deploy/web", "shop", None, pods))]


def test_pods_hang_on_their_replica_sets_the_newest_first() -> None:
    assert drawn(pod("web-a", "rs/web-1", 1), pod("web-b"), pod("web-c")) == [
        "deploy/web",
        "├─ rs/web-2",
        "│  ├─ web-b",
        "│  └─ web-c",
        "└─ rs/web-1",
        "   └─ web-a",
    ]


def test_pods_that_nobody_owns_hang_on_the_target() -> None:
    assert drawn(pod("a", "", 0), pod("b", "", 0)) == ["deploy/web", "├─ a", "└─ b"]


def test_several_containers_are_rows_of_their_own() -> None:
    found = rows(
        TargetStatus(1, "deploy/web", "shop", None, (pod("web-a", images={"app": "repo/app:1", "log": "repo/log:2"}),))
    )
    assert [row[0] for row in found[2:]] == ["   └─ web-a", "      ├─ app", "      └─ log"]
    assert [row[5] for row in found[2:]] == ["", "repo/app:1", "repo/log:2"]


def test_of_many_pods_each_is_one_row() -> None:
    images = {"app": "repo/app:1", "log": "repo/log:2"}
    assert len(drawn(*(pod(f"web-{i}", images=images) for i in range(50)))) == 52


def test_a_replica_set_has_its_revision() -> None:
    assert rows(TargetStatus(1, "deploy/web", "shop", None, (pod("web-a"),)))[1][-1] == "revision 2"


def test_ready_pods_are_counted_on_every_level() -> None:
    found = rows(TargetStatus(1, "deploy/web", "shop", None, (pod("web-a"), pod("web-b"))))
    assert [row[3] for row in found] == ["2/2", "2/2", "yes", "yes"]
