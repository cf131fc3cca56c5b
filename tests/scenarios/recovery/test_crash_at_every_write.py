"""Death before and after every write of a run on three pods, then the same command: as if nothing had happened; or `repair`
first, which leaves every pod in service, and then the same command.

All moments on the embedded cluster with every `make test`, and on a real one with `make proof`; one of each kind of write on a
real one with `make e2e`, here and in `test_resume`.
"""

from __future__ import annotations

import signal
from itertools import count

import pytest

from tests.scenarios.cluster_under_test import Moment, Running
from tests.scenarios.crash_cases import CASES, deploy
from tests.scenarios.scene import Scene

SIDE_BY_SIDE = 8


@pytest.mark.proof
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("then", ["same command", "repair"])
@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("case", CASES)
def test_at_every_write(scene: Scene, case: str, moment: Moment, then: str) -> None:
    died = 0
    for first in count(1, SIDE_BY_SIDE):
        numbers = range(first, first + SIDE_BY_SIDE)
        victims = deploy(scene, CASES[case], [f"web{number:02}" for number in numbers])
        codes = all_end([victim.start_and_die(number, moment) for number, victim in zip(numbers, victims, strict=True)])
        assert set(codes) <= {0, -signal.SIGKILL}, codes
        died += codes.count(-signal.SIGKILL)
        if then == "repair":
            assert not any(all_end([victim.repair() for victim in victims]))
            for victim in victims:
                victim.check_safe()
        assert not any(all_end([victim.start() for victim in victims]))
        log = scene.witness.log()
        for victim in victims:
            victim.check_ended(log, was_repaired=then == "repair")
        scene.check_quiet()
        for victim in victims:
            victim.delete()
        if 0 in codes:
            break
    print(f"{case}: died {moment} each of {died} writes, then {then}")
    assert died > 10


def all_end(commands: list[Running]) -> list[int]:
    results = [command.wait() for command in commands]
    for result in results:
        print(result.stdout, result.stderr)
    return [result.code for result in results]


POD, DEPLOYMENT = r"PATCH .*/pods/[^/ ]+", "PATCH .*/deployments/"
SETS, DAEMON_SETS = "PATCH .*/statefulsets/", "PATCH .*/daemonsets/"
# By case, and by what has happened then: a pattern of the write, the how manieth of its kind, and whether it is still done.
AT: dict[str, dict[str, tuple[str, int, Moment]]] = {
    "deploy": {
        "locked": (r"POST .*/leases", 1, "after"),
        "closed": (rf"{POD}/status .*Upgrading", 1, "after"),
        "drained": (f"{POD} ", 1, "before"),
        "patched": (f"{POD} ", 1, "after"),
        "restarted": (rf"{POD}/status .*Upgraded", 1, "before"),
        "opened": (rf"{POD}/status .*Upgraded", 3, "after"),
        "paused": (f"{DEPLOYMENT}.*paused", 1, "after"),
        "half-new": (r"PATCH .*/replicasets/", 1, "after"),
        "not-buried": (r"POST .*/replicasets", 1, "before"),
        "buried": (r"POST .*/replicasets", 1, "after"),
        "unpaused": (f"{DEPLOYMENT}.*paused", 2, "after"),
    },
    "rs": {"new": (r"PATCH .*/replicasets/", 1, "after")},
    "pods": {"opened": (r"DELETE .*/leases/", 1, "before")},
    "sts": {"new": (f"{SETS}.*template", 1, "after"), "behind": (f"{SETS}.*updateStrategy", 2, "after")},
    "ds": {
        "held": (f"{DAEMON_SETS}.*updateStrategy", 1, "after"),
        "not-given-back": (f"{DAEMON_SETS}.*updateStrategy", 2, "before"),
    },
    "without gate": {"record-dropped": (r"PATCH .*/pods/\S+ .*null", 1, "after")},
}


@pytest.mark.parametrize("case", AT)
def test_at_one_write_of_each_kind(scene: Scene, case: str) -> None:
    victims = deploy(scene, CASES[case], AT[case])
    dying = [
        victim.start_and_die(number, moment, pattern)
        for victim, (pattern, number, moment) in zip(victims, AT[case].values(), strict=True)
    ]
    assert set(all_end(dying)) == {-signal.SIGKILL}
    assert not any(all_end([victim.start() for victim in victims]))
    log = scene.witness.log()
    for victim in victims:
        victim.check_ended(log)
