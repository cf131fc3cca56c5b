"""The template-last commit: every act in its order, and from wherever it was cut off."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from inplace.engine.actions import (
    CreateHistoryReplicaSet,
    DeleteDuplicateReplicaSet,
    PatchTemplate,
    RestoreFieldOwners,
    SetPaused,
)
from inplace.engine.kinds.deployment import active_replica_set
from inplace.engine.kinds.external_changes import detect_external_change
from inplace.engine.kinds.registry import strategy_for
from inplace.engine.snapshot import Snapshot
from inplace.engine.timers import Timers
from inplace.engine.workloads.sequence import Blocked, Done, NextStep, Perform, Prepared, RelistPods, WaitFor
from inplace.engine.workloads.templates import images_of
from inplace.model.objects.workloads import ReplicaSet
from inplace.model.refs import TargetRef
from inplace.model.run import CommitState, FieldOwner, Run
from tests.builders import (
    DEPLOYMENT_UID,
    LIVE_UID,
    NEW,
    NS,
    OLD,
    deployment,
    in_service,
    observed,
    of_deployment,
    of_pods,
    of_replica_set,
    pod,
    replica_set,
    run,
    template,
)

BEGUN = CommitState(paused=False, live_uid=LIVE_UID, revision=1)
FRESH = {"replicaset": True}
HELM = FieldOwner(manager="helm", operation="Apply", api_version="apps/v1", containers=("app",))


def say(step: NextStep) -> str:
    """`PauseTarget`, `Await: ...`: what is next, for the tables."""
    match step:
        case Perform(action=PatchTemplate(kind=kind)):
            return f"PatchTemplate of {kind}"
        case Perform(action=action):
            return type(action).__name__
        case WaitFor(reason=reason):
            return f"wait: {reason.removeprefix('waiting for the ')}"
        case RelistPods(moment=moment):
            return f"list: {moment}"
        case Blocked():
            return "broken"
        case Done():
            return "done"
        case Prepared(revision=revision):
            return f"prepared: {revision}"


def step(
    *sets: ReplicaSet, r: Run | None = None, begun: CommitState = BEGUN, fresh: bool = True, returned: bool = True, **d: Any
) -> NextStep:
    view = observed(
        target=of_deployment(deployment(**d), *sets), fields_returned=frozenset({DEPLOYMENT_UID}) if returned else frozenset()
    )
    asked = msgspec.structs.replace(r or run(), commit=begun)
    return strategy_for(view).commit(asked, FRESH if fresh else {})


TOMBSTONE = "the old template"


def buried(**d: Any) -> ReplicaSet:
    """The tombstone of that moment, as the API server shows it."""
    made = step(replica_set(NEW, revision=1), images=NEW, paused=True, **d)
    assert isinstance(made, Perform)
    assert isinstance(made.action, CreateHistoryReplicaSet)
    return replica_set(OLD, name=made.action.name, uid="uid-tomb", replicas=0, revision=1)


OLD_SET, NEW_SET, RAISED = replica_set(OLD), replica_set(NEW), replica_set(NEW, revision=2)
PAUSED: dict[str, Any] = {"paused": True, "generation": 2}
COMMITTED: dict[str, Any] = {"images": NEW, "paused": True, "generation": 3}


@pytest.mark.parametrize(
    ("fields", "sets", "fresh", "says"),
    [
        ({}, [OLD_SET], False, "SetPaused"),
        ({"paused": True, "generation": 2, "observed": 1}, [OLD_SET], False, "wait: Deployment controller to see the change"),
        (PAUSED, [OLD_SET], False, "PatchTemplate of ReplicaSet"),
        (PAUSED, [replica_set(NEW, generation=2, observed=1)], False, "wait: ReplicaSet controller to see the new template"),
        (PAUSED, [NEW_SET], False, "list: replicaset"),
        (PAUSED, [NEW_SET], True, "PatchTemplate of Deployment"),
        ({**COMMITTED, "observed": 2}, [NEW_SET], True, "wait: Deployment controller to see the change"),
        ({**COMMITTED, "updated": 0}, [NEW_SET], True, "wait: Deployment controller to adopt the ReplicaSet as the new one"),
        (COMMITTED, [NEW_SET], True, "CreateHistoryReplicaSet"),
        (COMMITTED, [NEW_SET, TOMBSTONE], True, "wait: Deployment controller to number the new revision"),
        (COMMITTED, [RAISED, TOMBSTONE], True, "SetPaused"),
        (COMMITTED, [RAISED], True, "SetPaused"),
        (
            {"images": NEW, "generation": 4, "observed": 3},
            [RAISED],
            True,
            "wait: Deployment controller to see that it is unpaused",
        ),
        ({"images": NEW, "generation": 4}, [RAISED], True, "done"),
    ],
)
def test_every_act_in_its_order(fields: dict[str, Any], sets: list[Any], fresh: bool, says: str) -> None:
    known = [buried() if rs is TOMBSTONE else rs for rs in sets]
    assert say(step(*known, fresh=fresh, **fields)) == says


@pytest.mark.parametrize("paused", [True, False])
def test_the_users_pause_is_given_back_as_it_was(paused: bool) -> None:
    found = step(RAISED, begun=msgspec.structs.replace(BEGUN, paused=paused), **COMMITTED)
    assert say(found) == ("done" if paused else "SetPaused")
    if isinstance(found, Perform):
        assert isinstance(found.action, SetPaused)
        assert found.action.paused is False


def test_an_unpause_by_others_is_taken_back_before_anything_else() -> None:
    assert say(step(NEW_SET, images=OLD)) == "SetPaused"
    assert say(step(NEW_SET, images=NEW)) == "SetPaused"


def test_at_no_replicas_the_templates_must_do() -> None:
    nothing = replica_set(NEW, replicas=0)
    assert say(step(nothing, replicas=0, updated=0, **COMMITTED)) == "CreateHistoryReplicaSet"


def test_no_history_is_kept_if_old_and_new_images_are_the_same() -> None:
    """The template changed while the workload was paused: only its ReplicaSet and pods are behind."""
    r = run(from_images=NEW)
    begun = CommitState(paused=True, live_uid=LIVE_UID, revision=1)
    assert say(step(OLD_SET, r=r, begun=begun, updated=0, **COMMITTED)) == "PatchTemplate of ReplicaSet"
    behind = replica_set(NEW, generation=2, observed=1)
    assert say(step(behind, r=r, begun=begun, **COMMITTED)) == "done"


def test_a_template_changed_while_paused_reaches_its_replica_set() -> None:
    begun = CommitState(paused=True, live_uid=LIVE_UID, revision=1)
    assert say(step(OLD_SET, begun=begun, updated=0, **COMMITTED)) == "PatchTemplate of ReplicaSet"
    assert say(step(replica_set(NEW, generation=2, observed=1), begun=begun, **COMMITTED)).startswith("wait: ReplicaSet")
    assert say(step(NEW_SET, begun=begun, **COMMITTED)) == "CreateHistoryReplicaSet"
    assert say(step(RAISED, begun=begun, **COMMITTED)) == "done"


class TestOlderTwin:
    """The controller takes the oldest match for the new ReplicaSet: it must not be another one."""

    TWIN = replica_set(NEW, name="web-0", uid="uid-twin", replicas=0, revision=0)

    def test_is_removed_while_paused(self) -> None:
        found = step(OLD_SET, self.TWIN, **PAUSED)
        assert isinstance(found, Perform)
        assert found.action == DeleteDuplicateReplicaSet("web-0", "uid-twin", "200")

    def test_a_twin_is_deleted_after_the_replica_set_was_patched(self) -> None:
        assert say(step(NEW_SET, self.TWIN, **PAUSED)) == "DeleteDuplicateReplicaSet"

    def test_a_twin_is_deleted_if_the_paused_deployment_uses_it(self) -> None:
        assert say(step(OLD_SET, self.TWIN, **COMMITTED)) == "DeleteDuplicateReplicaSet"

    def test_not_before_the_pause_is_seen(self) -> None:
        assert say(step(OLD_SET, self.TWIN)) == "SetPaused"

    def test_another_template_with_the_same_images_is_no_twin(self) -> None:
        other = replica_set(name="web-0", uid="uid-twin", replicas=0, template_=template(NEW, dnsPolicy="None"))
        assert say(step(OLD_SET, other, **PAUSED)) == "PatchTemplate of ReplicaSet"

    def test_one_with_replicas_stops_the_run(self) -> None:
        alive = replica_set(NEW, name="web-0", uid="uid-twin", replicas=2)
        view = observed(target=of_deployment(deployment(**PAUSED), OLD_SET, alive))
        found = detect_external_change(view, run(commit=BEGUN), Timers({}, 0.0))
        assert found is not None
        assert "web-0" in found.reason


def test_acts_carry_what_they_were_judged_on() -> None:
    for found in (step(OLD_SET), step(OLD_SET, **PAUSED), step(NEW_SET, **PAUSED)):
        assert isinstance(found, Perform)
        action = found.action
        assert isinstance(action, SetPaused | PatchTemplate)
        is_set = isinstance(action, PatchTemplate) and action.kind == "ReplicaSet"
        assert (action.uid, action.resource_version) == ((LIVE_UID, "200") if is_set else (DEPLOYMENT_UID, "100"))


class TestFieldsGivenBack:
    END: dict[str, Any] = {"images": NEW, "generation": 4}

    def test_last_and_once(self) -> None:
        found = step(RAISED, r=run(owners=(HELM,)), returned=False, **self.END)
        assert isinstance(found, Perform)
        assert isinstance(found.action, RestoreFieldOwners)
        assert (found.action.kind, found.action.owners) == ("Deployment", (HELM,))
        assert say(step(RAISED, r=run(owners=(HELM,)), **self.END)) == "done"
        assert say(step(RAISED, returned=False, **self.END)) == "done"

    def test_bare_pods_get_theirs_back_one_by_one(self) -> None:
        owners = tuple(msgspec.structs.replace(HELM, pod=name) for name in ("web-a", "web-b"))
        pods = [in_service(pod(name, images=NEW)) for name in ("web-a", "web-b", "web-c")]
        view = observed(*pods, target=of_pods(), fields_returned=frozenset({"uid-web-a"}))
        found = strategy_for(view).commit(run(owners=owners), {})
        assert isinstance(found, Perform)
        assert isinstance(found.action, RestoreFieldOwners)
        assert (found.action.name, found.action.kind, found.action.owners) == ("web-b", "Pod", owners[1:])
        returned = observed(*pods, target=of_pods(), fields_returned=frozenset(p.uid for p in pods))
        assert strategy_for(returned).commit(run(owners=owners), {}) == Done()

    def test_a_workload_without_a_commit_needs_nothing(self) -> None:
        assert strategy_for(observed()).commit(run(owners=(HELM,)), {}) == Done()


class TestReplicaSet:
    """It never touches living pods: template last, then a list, and what came up old is caught up."""

    RUN = run(target=TargetRef(kind="ReplicaSet", namespace=NS, name="web-1"))

    @pytest.mark.parametrize(
        ("rs", "fresh", "says"),
        [
            (OLD_SET, False, "PatchTemplate of ReplicaSet"),
            (replica_set(NEW, generation=2, observed=1), False, "wait: ReplicaSet controller to see the new template"),
            (NEW_SET, False, "list: replicaset"),
            (NEW_SET, True, "done"),
        ],
    )
    def test_in_order(self, rs: ReplicaSet, fresh: bool, says: str) -> None:
        view = observed(target=of_replica_set(rs))
        asked = msgspec.structs.replace(self.RUN, commit=BEGUN)
        assert say(strategy_for(view).commit(asked, FRESH if fresh else {})) == says

    def test_begins_where_the_template_is_old(self) -> None:
        assert strategy_for(observed(target=of_replica_set(OLD_SET))).begin_commit(self.RUN) == CommitState(live_uid=LIVE_UID)
        assert strategy_for(observed(target=of_replica_set(NEW_SET))).begin_commit(self.RUN) is None


class TestBegin:
    def test_saves_what_the_commit_will_change(self) -> None:
        view = observed(target=of_deployment(deployment(paused=True), replica_set(revision=7)))
        assert strategy_for(view).begin_commit(run(paused=True)) == CommitState(
            paused=True, live_uid=LIVE_UID, revision=7, template=OLD
        )

    def test_nothing_where_both_templates_are_new(self) -> None:
        assert strategy_for(observed(target=of_deployment(deployment(NEW), NEW_SET))).begin_commit(run()) is None

    def test_where_only_one_is(self) -> None:
        assert strategy_for(observed(target=of_deployment(deployment(NEW), OLD_SET))).begin_commit(run()) is not None
        assert strategy_for(observed(target=of_deployment(deployment(OLD), NEW_SET))).begin_commit(run()) is not None

    def test_a_run_that_goes_back_has_nothing_to_take_back(self) -> None:
        """The template is ahead because its user has set it so."""
        view = observed(target=of_deployment(deployment(NEW, paused=True), replica_set()))
        assert (
            strategy_for(view).begin_commit(run(images=OLD, original_images=NEW, rollback_reason="Abort", adopts_template=True))
            is None
        )

    def test_bare_pods_have_no_template(self) -> None:
        assert strategy_for(observed(target=of_pods())).begin_commit(run()) is None

    def test_a_target_that_is_gone_breaks_it(self) -> None:
        assert strategy_for(observed(target=of_deployment(None))).begin_commit(run()) is None
        assert say(strategy_for(observed(target=of_deployment(None))).commit(run(commit=BEGUN), {})) == "broken"
        assert say(step(replica_set(uid="another"))) == "broken"


class TestLiveReplicaSet:
    EMPTY = replica_set(name="web-0", uid="uid-0", replicas=0, revision=5)

    def test_the_one_with_pods(self) -> None:
        assert active_replica_set(of_deployment(deployment(), self.EMPTY, OLD_SET)) == OLD_SET

    def test_at_no_replicas_the_newest(self) -> None:
        assert active_replica_set(of_deployment(deployment(), self.EMPTY, replica_set(replicas=0, revision=4))) == self.EMPTY

    def test_none_where_two_are_active_or_none_exists(self) -> None:
        assert active_replica_set(of_deployment(deployment(), OLD_SET, replica_set(name="web-0", uid="uid-0"))) is None
        assert active_replica_set(of_deployment(deployment())) is None


class Controllers:
    """The Deployment and its controllers, just enough to walk a commit from one end to the other."""

    def __init__(self, paused: bool, twin: bool, keeps_history: bool) -> None:
        self.paused, self.template, self.generation, self.seen = paused, OLD, 1, 1
        self.live_images, self.revision = OLD, 1
        self.twin, self.tombstone, self.keeps_history = twin, "", keeps_history

    def view(self, returned: frozenset[str]) -> Snapshot:
        sets = [replica_set(self.live_images, revision=self.revision)]
        if self.twin:
            sets.append(TestOlderTwin.TWIN)
        if self.tombstone:
            sets.append(replica_set(OLD, name=self.tombstone, uid="uid-tomb", replicas=0, revision=1))
        follows = self.template == self.live_images and not (self.twin and self.template == NEW)
        d = deployment(
            self.template,
            paused=self.paused,
            generation=self.generation,
            observed=self.seen,
            updated=3 if follows else 0,
        )
        return observed(target=of_deployment(d, *sets), fields_returned=returned)

    def act(self, action: object) -> None:
        match action:
            case SetPaused(paused=paused):
                self.paused = paused
                self.generation += 1
            case PatchTemplate(kind="ReplicaSet", images=images):
                assert self.paused
                self.live_images = images
            case PatchTemplate(images=images):
                assert self.paused
                self.template = images
                self.generation += 1
            case DeleteDuplicateReplicaSet():
                assert self.paused
                self.twin = False
            case CreateHistoryReplicaSet(name=name, manifest=manifest):
                assert self.paused
                assert images_of(manifest["spec"]["template"]) == OLD
                self.tombstone = name

    def turn(self) -> None:
        self.seen = self.generation
        assert self.paused or self.template == self.live_images, "a rollout begins"
        if self.tombstone and self.revision == 1:
            self.revision = 2
            self.tombstone = self.tombstone if self.keeps_history else ""


def walk(world: Controllers, r: Run) -> Iterator[str]:
    """Each act, until nothing is left; a list is always fresh, what the process remembers is only that."""
    fresh: dict[str, bool] = {}
    returned: frozenset[str] = frozenset()
    assert r.commit is not None
    for _ in range(30):
        found = strategy_for(world.view(returned)).commit(r, fresh)
        assert not isinstance(found, Blocked)
        match found:
            case Perform(action=action):
                world.act(action)
                returned |= frozenset({DEPLOYMENT_UID}) if isinstance(action, RestoreFieldOwners) else frozenset()
                yield say(found)
            case RelistPods(moment=moment):
                fresh[moment] = True
            case WaitFor():
                world.turn()
            case Done():
                return
    raise AssertionError("never done")


@pytest.mark.parametrize("paused", [False, True])
@pytest.mark.parametrize("twin", [False, True])
@pytest.mark.parametrize("keeps_history", [True, False], ids=["history", "revisionHistoryLimit 0"])
@pytest.mark.parametrize("cut", range(9))
def test_a_commit_cut_off_after_any_act_is_finished_by_the_next(
    paused: bool, twin: bool, keeps_history: bool, cut: int
) -> None:
    world = Controllers(paused, twin, keeps_history)
    begun = strategy_for(world.view(frozenset())).begin_commit(run(paused=paused))
    assert begun is not None
    r = run(commit=begun, owners=(HELM,))
    done: list[str] = []
    for number, act in enumerate(walk(world, r)):
        done.append(act)
        if number == cut:
            break
    again = list(walk(world, r))
    expected = [
        *([] if paused else ["SetPaused"]),
        *(["DeleteDuplicateReplicaSet"] if twin else []),
        "PatchTemplate of ReplicaSet",
        "PatchTemplate of Deployment",
        "CreateHistoryReplicaSet",
        *([] if paused else ["SetPaused"]),
        "RestoreFieldOwners",
    ]
    # Only giving fields back is done again by a process that cannot know: it changes nothing the second time.
    assert [a for a in done + again if a != "RestoreFieldOwners"] == expected[:-1]
    assert again[-1:] == ["RestoreFieldOwners"]
    assert (world.paused, world.template, world.live_images, world.revision, world.twin) == (paused, NEW, NEW, 2, False)
