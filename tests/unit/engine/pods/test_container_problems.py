"""What the kubelet says of containers that do not start, and what of it condemns an image."""

import re
from typing import Any

import msgspec
import pytest

from inplace.engine.pods.container_problems import ContainerProblem, container_problem, is_backing_off
from inplace.model.objects.pods import ContainerState, ContainerStatus, Probe, StateTerminated, StateWaiting
from inplace.model.record import PreviousContainer
from tests.builders import NEW, OLD, container, pod, status


def waits(waiting: str, words: str, id_: str = "c1", **last: Any) -> ContainerStatus:
    shown = status("app", id_, NEW["app"], waiting=waiting)
    return msgspec.structs.replace(
        shown,
        state=ContainerState(waiting=StateWaiting(waiting, words)),
        last_state=ContainerState(terminated=StateTerminated(**last)) if last else ContainerState(),
    )


class TestTrouble:
    NAMES = frozenset({"app"})
    BEFORE = {"app": PreviousContainer(container_id="c1")}

    def of(self, waiting: str, id_: str = "c1") -> ContainerProblem | None:
        return container_problem(pod(statuses=[status("app", id_, waiting=waiting)]), self.NAMES, self.BEFORE)

    @pytest.mark.parametrize("reason", ["InvalidImageName", "ImagePullBackOff", "ErrImageNeverPull"])
    def test_images_that_cannot_be_had(self, reason: str) -> None:
        assert self.of(reason) == ContainerProblem(reason, f"container app: {reason} of app")

    @pytest.mark.parametrize("reason", ["CreateContainerConfigError", "CreateContainerError", "RunContainerError"])
    def test_containers_that_cannot_be_made(self, reason: str) -> None:
        assert self.of(reason) == ContainerProblem(reason, f"container app: {reason} of app")

    @pytest.mark.parametrize("reason", ["ContainerCreating", "ErrImagePull", "PodInitializing"])
    def test_what_may_still_come_right(self, reason: str) -> None:
        assert self.of(reason) is None

    def test_a_back_off_before_the_new_container_is_old_and_ends(self) -> None:
        """Going back to an image string that was restarted into before: 10 s and more."""
        assert self.of("CrashLoopBackOff", "c1") is None
        assert self.of("CrashLoopBackOff", "") is None

    def test_a_back_off_after_a_new_container_ran_is_a_bad_image(self) -> None:
        assert self.of("CrashLoopBackOff", "c2") == ContainerProblem(
            "CrashLoopBackOff", "container app: CrashLoopBackOff of app"
        )

    def test_a_kubelet_that_tried_the_old_image_again_is_no_trouble(self) -> None:
        was = {"app": PreviousContainer(container_id="c1", image=OLD["app"])}
        shown = status("app", "c2", f"docker.io/{OLD['app']}", waiting="CrashLoopBackOff")
        assert container_problem(pod(statuses=[shown]), self.NAMES, was) is None
        new = msgspec.structs.replace(shown, image=NEW["app"])
        assert container_problem(pod(statuses=[new]), self.NAMES, was) is not None

    def test_what_is_said_of_the_image_before_is_no_news(self) -> None:
        """The first status after the kubelet has seen our image still tells why that one waited."""
        waiting = msgspec.structs.replace(
            status(), state=ContainerState(waiting=StateWaiting("ImagePullBackOff", 'pulling "app:9"'))
        )
        was = {"app": PreviousContainer(container_id="c1", image="app:9")}
        assert container_problem(pod(statuses=[waiting]), self.NAMES, was) is None
        assert container_problem(pod(statuses=[waiting]), self.NAMES, self.BEFORE) is not None

    def test_other_containers_are_not_our_business(self) -> None:
        p = pod(statuses=[status("app"), status("mesh", waiting="CrashLoopBackOff")])
        assert container_problem(p, self.NAMES, self.BEFORE) is None

    def test_a_running_container_is_no_trouble(self) -> None:
        assert container_problem(pod(), self.NAMES, self.BEFORE) is None
        assert container_problem(pod(statuses=[]), self.NAMES, self.BEFORE) is None

    def test_image_problems_differ_by_image_and_crashes_do_not(self) -> None:
        one, other = (ContainerProblem("ImagePullBackOff", f'Back-off pulling image "{i}"') for i in ("a", "b"))
        assert one.identity != other.identity
        assert len({ContainerProblem("CrashLoopBackOff", f"back-off {n}s").identity for n in (10, 20)}) == 1


class TestPulls:
    """The way back is never gone for a registry that is only slow to answer."""

    NAMES, BEFORE = TestTrouble.NAMES, TestTrouble.BEFORE

    def of(self, error: str) -> ContainerProblem | None:
        shown = waits("ImagePullBackOff", f'Back-off pulling image "reg/app:2": ErrImagePull: {error}')
        return container_problem(pod(statuses=[shown]), self.NAMES, self.BEFORE)

    def test_a_missing_tag_is_a_bad_image(self) -> None:
        found = self.of('rpc error: code = NotFound desc = failed to pull "reg/app:2": reg/app:2: not found')
        assert found is not None
        assert found.reason == "ImagePullBackOff"

    def test_a_registry_that_is_down_is_waited_for(self) -> None:
        assert self.of("dial tcp 127.0.0.1:1: connect: connection refused") is None

    def test_words_that_nobody_knows_are_a_bad_image_as_ever(self) -> None:
        """At ImagePullBackOff the kubelet has tried twice. To wait for the deadline on every unknown word would be to lose
        the quick way back for good; what turns out to be passing is one more word in the list."""
        assert self.of("the moon is in the wrong house") is not None

    def test_a_container_the_runtime_had_no_time_for_is_waited_for(self) -> None:
        shown = waits("CreateContainerError", "context deadline exceeded")
        assert container_problem(pod(statuses=[shown]), self.NAMES, self.BEFORE) is None


class TestCrashes:
    NAMES = frozenset({"app"})
    STARTUP = Probe(period_seconds=1, failure_threshold=3)

    def of(self, shown: ContainerStatus, restarts: int | None = 0, **probes: Any) -> ContainerProblem | None:
        before = {"app": PreviousContainer(container_id="c1", restart_count=restarts)}
        return container_problem(pod(containers=[container(**probes)], statuses=[shown]), self.NAMES, before)

    def crashed(self, seconds: int = 3, count: int = 2, **last: Any) -> ContainerStatus:
        times = {"started_at": "2026-11-28T05:08:16Z", "finished_at": f"2026-11-28T05:08:{16 + seconds}Z"}
        shown = waits("CrashLoopBackOff", "back-off 10s restarting failed container=app", "c2", **{**times, **last})
        return msgspec.structs.replace(shown, restart_count=count)

    def reason(self, found: ContainerProblem | None) -> str:
        return found.reason if found is not None else ""

    def test_a_missing_command_keeps_its_message_during_back_off(self) -> None:
        """RunContainerError shows for a second; then CrashLoopBackOff says nothing of the cause (measured)."""
        said = 'runc create failed: exec: "/nope": no such file'
        found = self.of(self.crashed(reason="StartError", exit_code=128, message=said))
        assert found == ContainerProblem("RunContainerError", f"container app: {said}")

    def test_a_startup_probe_that_kills_again_and_again(self) -> None:
        found = self.of(self.crashed(), startup_probe=self.STARTUP)
        assert found is not None
        assert found.reason == "StartupProbeFailed"
        assert "its startupProbe fails, and the kubelet kills it each time: back-off 10s" in found.message

    @pytest.mark.parametrize(("reason", "how"), [("Error", "code 3"), ("OOMKilled", r"code 3 \(OOMKilled\)")])
    def test_a_crash_says_with_which_code_and_where_its_words_are(self, reason: str, how: str) -> None:
        found = self.of(self.crashed(seconds=1, exit_code=3, reason=reason))
        assert found is not None
        said = rf"container app: exited with {how}: see kubectl logs -p web-a -c app -n default \(back-off 10s .*\)"
        assert re.fullmatch(said, found.message)

    def test_an_app_that_exits_before_its_probe_gives_up_has_crashed(self) -> None:
        assert self.reason(self.of(self.crashed(seconds=0), startup_probe=self.STARTUP)) == "CrashLoopBackOff"
        impatient = Probe(period_seconds=1, failure_threshold=1)
        assert self.reason(self.of(self.crashed(seconds=0), startup_probe=impatient)) == "CrashLoopBackOff"

    @pytest.mark.parametrize("times", [{"started_at": None}, {"finished_at": "yesterday"}, {"started_at": "2026-11-28"}])
    def test_times_that_say_nothing_are_no_probe(self, times: dict[str, Any]) -> None:
        assert self.reason(self.of(self.crashed(**times), startup_probe=self.STARTUP)) == "CrashLoopBackOff"

    def test_the_kubelets_kill_of_a_booting_container_counts_once(self) -> None:
        """It carries `started: true` over by name, so that the livenessProbe asks at once (kubernetes#141155)."""
        both = {"startup_probe": self.STARTUP, "liveness_probe": Probe(period_seconds=1)}
        carried = msgspec.structs.replace(self.crashed(seconds=1, count=5), started=True)
        assert self.of(carried, 4, **both) is None
        again = msgspec.structs.replace(carried, restart_count=6)
        assert self.reason(self.of(again, 4, **both)) == "CrashLoopBackOff"
        assert self.reason(self.of(carried, 4, startup_probe=self.STARTUP)) == "CrashLoopBackOff"
        assert self.reason(self.of(carried, None, **both)) == "CrashLoopBackOff", "a record of an older version"


def test_nothing_runs_where_no_container_can_be_made() -> None:
    """The way back need not wait there for an earlier restart to end."""
    for reason in ("CreateContainerConfigError", "ImagePullBackOff", "CrashLoopBackOff"):
        assert is_backing_off(pod(statuses=[waits(reason, "m")]), frozenset({"app"}))
    assert not is_backing_off(pod(statuses=[waits("ContainerCreating", "")]), frozenset({"app"}))
