"""The demo, once, small and fast: what it claims must be so on the embedded cluster too."""

import threading

import pytest

from inplace.cli.demo import cluster
from inplace.cli.demo.comparison import DemoReport, MethodResult, as_lines
from inplace.cli.demo.meter import CountingTransport, Measurement, Requests
from inplace.kube.protocols import Request
from tests.cli.fakes import Command, FakeServer
from tests.documents import document


@pytest.mark.parametrize("options", [(), ("--controller",)], ids=["command", "controller"])
def test_side_by_side(command: Command, options: tuple[str, ...]) -> None:
    ran = command("demo", "--pods", "2", "--speed", "10", "--steps", "50%,100%", "-o", "json", *options)
    assert ran.code == 0
    shown = document(ran.stdout, "demo")
    assert (shown["v"], shown["simulated"], shown["pods"]) == (1, True, 2)
    ours, classic = shown["inPlace"], shown["classic"]

    kept = ("podsKept", "ipsKept", "volumesLost", "sidecarsRestarted", "appStarts", "podsAtPeak")
    assert [ours["measured"][key] for key in kept] == [2, 2, 0, 0, 2, 2]
    assert [classic["measured"][key] for key in kept] == [0, 0, 2, 2, 2, 3]
    assert ours["short"]["failed"] == 0
    assert min(way[kind]["sent"] for way in (ours, classic) for kind in ("short", "keptAlive")) > 100
    assert max(way[kind]["sent"] for way in (ours, classic) for kind in ("short", "keptAlive")) < 100_000
    assert ours["writes"] >= 3 * 2
    assert classic["writes"] == 1

    lines = ran.stderr.splitlines()
    assert lines[0] == "Simulated: a cluster inside this process; its clock runs 10 times as fast."
    assert any(line.endswith("Updated (2 of 2)") for line in lines)
    assert any("2 of 2 pods are new" in line for line in lines)
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith(("sim-", "gate-", "demo-"))]


def test_a_question_is_no_write_of_ours() -> None:
    counting = CountingTransport(FakeServer())
    for path in ("/apis/authentication.k8s.io/v1/selfsubjectreviews", "/api/v1/namespaces/shop/pods/a"):
        counting.call(Request(method="POST", path=path), 1.0)
    assert counting.writes == 1


def test_the_table_fits_a_terminal_and_says_that_it_is_simulated() -> None:
    lines = as_lines(DemoReport(50, 3, 1, _side(22.0, 50), _side(8.0, 65)))
    assert lines[0].startswith("SIMULATED")
    assert max(map(len, lines)) <= 80
    assert "The rollout was faster: it ran 15 more pods at its peak. In place runs none." in lines
    assert not any("faster" in line for line in as_lines(DemoReport(50, 3, 1, _side(8.0, 50), _side(22.0, 65))))


def test_nobody_resumes_a_demo(command: Command) -> None:
    ran = command("demo", "--steps", "50%,pause,100%")
    assert (ran.code, ran.stdout) == (2, "")
    assert ran.error == "a demo cannot be resumed: give each pause a time, as in pause:5s (see `inplace demo --help`)"


@pytest.mark.parametrize("where", ["create_app", "wait"])
def test_ctrl_c_ends_it_with_nothing_left(command: Command, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    folders = []

    def interrupted(cluster: cluster.DemoCluster, *_args: object, **_more: object) -> None:
        folders.append(cluster.kubeconfig.parent)
        raise KeyboardInterrupt

    monkeypatch.setattr(cluster.DemoCluster, where, interrupted)
    ran = command("demo", "-q")
    assert (ran.code, ran.error) == (130, "interrupted; the simulated cluster is gone")
    assert not any(folder.exists() for folder in folders)
    assert len(folders) == 1


def _side(seconds: float, peak: int) -> MethodResult:
    measured = Measurement(seconds, 1234.5, 50, 50, 50, 50, 50, 100, peak)
    return MethodResult(measured, Requests(123_456, 12_345), Requests(123_456, 12_345), 99, 12_345)
