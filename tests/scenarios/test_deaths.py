"""Death before and after every write of a run on three pods, then the same command: as if nothing had happened; or `repair`
first, which leaves every pod in service, and then the same command.

All moments on the embedded cluster with every `make test`, and on a real one with `make proof`; one of each kind of write on a
real one with `make e2e`, here and in `test_resume`.
"""

from __future__ import annotations

import signal
from itertools import count

import pytest

from tests.scenarios.scene import Scene
from tests.scenarios.stage import Moment, Running
from tests.scenarios.victims import CASES, deploy

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


STS, DS = "PATCH .*/statefulsets/", "PATCH .*/daemonsets/"
AT: dict[str, tuple[str, str, int, Moment]] = {
    "rs, the template is new, its answer lost": ("rs", "PATCH .*/replicasets/", 1, "after"),
    "pods, the lock is not deleted yet": ("pods", "DELETE .*/leases/", 1, "before"),
    "sts, the template is new, its answer lost": ("sts", f"{STS}.*template", 1, "after"),
    "sts, the partition is behind the first, the answer lost": ("sts", f"{STS}.*updateStrategy", 2, "after"),
    "ds, held back, the answer lost": ("ds", f"{DS}.*updateStrategy", 1, "after"),
    "ds, the strategy is not given back yet": ("ds", f"{DS}.*updateStrategy", 2, "before"),
    "without gate, a record is dropped, the answer lost": ("without gate", r"PATCH .*/pods/\S+ .*null", 1, "after"),
}


@pytest.mark.parametrize("at", AT)
def test_at_one_write_of_each_kind(scene: Scene, at: str) -> None:
    name, pattern, nth, moment = AT[at]
    (victim,) = deploy(scene, CASES[name], ["web"])
    scene.killed_at(pattern, nth, moment, *victim.words)
    assert all_end([victim.start()]) == [0]
    victim.check_ended(scene.witness.log())
