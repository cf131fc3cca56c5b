"""Steps and pauses: the only barriers, kept exactly; and the verbs `pause` and `resume`."""

from dataclasses import replace

from tests.cluster import Cluster
from tests.e2e import support
from tests.e2e.command import Inplace
from tests.e2e.mishaps import (
    SETTLE,
    any_closed,
    app,
    back,
    consistent,
    no_orphans,
    our_writes,
    stored_run,
    until,
    web,
    with_image,
)
from tests.e2e.support import GATE
from tests.recorder import Recorder, Rules
from tests.recorder.history import replay
from tests.recorder.log import condition, images


def test_a_pause_after_20_percent_of_10_pods(cluster: Cluster, ns: str, recorder: Recorder, inplace: Inplace) -> None:
    web(cluster, ns, replicas=10)
    before, mark = (support.uids(cluster, ns), support.ips(cluster, ns)), recorder.mark()
    new, rules = app(cluster, "2"), Rules(max_unavailable=3, workload="Deployment/web", writes_per_pod=3)
    command = ("upgrade", "deploy/web", f"app={new}", "--steps", "20%,pause,100%", "--max-unavailable", "3", *SETTLE)

    paused = inplace(*command)
    assert paused.code == 4, paused
    assert "2 of 10 pods updated" in paused.stdout
    assert "inplace resume deploy/web" in paused.stderr
    assert len(with_image(cluster, ns, new)) == 2
    recorder.check(replace(rules, upgraded=2))
    no_orphans(cluster, ns)

    here = recorder.version()
    again = inplace(*command)
    assert again.code == 4, again
    assert "inplace resume deploy/web" in again.stderr
    assert our_writes(recorder, here) == []

    resumed = inplace("resume", "deploy/web")
    assert resumed.code == 0, resumed
    assert (support.uids(cluster, ns), support.ips(cluster, ns)) == before
    consistent(cluster, ns, "2", {1: "1", 2: "2"}, replicas=10)
    recorder.check(replace(rules, upgraded=10, since=mark))
    assert inplace("resume", "deploy/web").code == 5, "there is nothing to resume any more"


def test_a_pause_with_a_time_passes_by_itself(cluster: Cluster, ns: str, recorder: Recorder, inplace: Inplace) -> None:
    web(cluster, ns, replicas=2)
    recorder.mark()
    new = app(cluster, "2")
    done = inplace("upgrade", "deploy/web", f"app={new}", "--steps", "50%,pause:6s,100%", "--max-unavailable", "1", *SETTLE)
    assert done.code == 0, done
    recorder.check(Rules(max_unavailable=1, workload="Deployment/web", upgraded=2, writes_per_pod=3))
    consistent(cluster, ns, "2", {1: "1", 2: "2"}, replicas=2)
    # Both instants are arrivals on one watch; without the pause they would be a tenth of a second apart.
    pods = [s for s in replay(recorder.log()) if s.event.kind == "Pod" and s.event.rv > recorder.since and s.before]
    ready = min(
        s.event.arrival for s in pods if new in images(s.event.object).values() and condition(s.event.object, "Ready") == "True"
    )
    last_close = max(
        s.event.arrival for s in pods if condition(s.event.object, GATE) == "False" and condition(s.before, GATE) == "True"
    )
    assert last_close - ready > 3


def test_pause_and_resume_of_a_living_run(cluster: Cluster, ns: str, recorder: Recorder, inplace: Inplace) -> None:
    """The holder finishes the pods in flight, and exits 4; then nobody holds the run, and `resume` drives it itself."""
    web(cluster, ns, replicas=4)
    recorder.mark()
    new = app(cluster, "2")
    command = ("upgrade", "deploy/web", f"app={new}", "--max-unavailable", "1", "--settle", "3s")
    upgrade = inplace.start(*command)
    until(recorder, back(new, 1), "the first pod is back")
    until(recorder, any_closed, "the second is closed")
    asked = inplace("pause", "deploy/web")
    assert asked.code == 0, asked
    assert "is paused" in asked.stdout
    held = upgrade.wait()
    assert held.code == 4, held
    assert "inplace resume deploy/web" in held.stderr
    no_orphans(cluster, ns)
    assert 1 <= len(with_image(cluster, ns, new)) < 4
    assert stored_run(cluster, ns)["outcome"] == "Paused"

    here = recorder.version()
    again = inplace(*command)
    assert again.code == 4, "a pause made by hand is passed only by `resume`"
    assert our_writes(recorder, here) == []

    resumed = inplace("resume", "deploy/web")
    assert resumed.code == 0, resumed
    recorder.check(Rules(max_unavailable=1, workload="Deployment/web", upgraded=4))
    consistent(cluster, ns, "2", {1: "1", 2: "2"}, replicas=4)


def test_resume_cuts_a_long_pause_of_a_living_run_short(
    cluster: Cluster, ns: str, recorder: Recorder, inplace: Inplace
) -> None:
    web(cluster, ns, replicas=2)
    recorder.mark()
    new = app(cluster, "2")
    upgrade = inplace.start(
        "upgrade", "deploy/web", f"app={new}", "--steps", "50%,pause:30m,100%", "--max-unavailable", "1", *SETTLE
    )
    support.eventually(lambda: "pausing for 30m" in upgrade.stdout, "the pause is reached", 60)
    resumed = inplace("resume", "deploy/web")
    assert resumed.code == 0, resumed
    done = upgrade.wait(60)
    assert done.code == 0, done
    recorder.check(Rules(max_unavailable=1, workload="Deployment/web", upgraded=2, writes_per_pod=3))
    consistent(cluster, ns, "2", {1: "1", 2: "2"}, replicas=2)


def test_pause_and_resume_without_a_run(cluster: Cluster, ns: str, recorder: Recorder, inplace: Inplace) -> None:
    web(cluster, ns, replicas=1, serve=False)
    recorder.mark()
    for verb in ("pause", "resume"):
        result = inplace(verb, "deploy/web")
        assert result.code == 5, result
        assert result.stderr == f"error: deploy/web in {ns} has no run to {verb}\n"
    assert our_writes(recorder) == []
