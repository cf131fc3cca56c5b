"""What is said before the first write: each refusal names the object, why, and what to do."""

from typing import Any

import msgspec
import pytest

from inplace.engine.preflight.advisories import count_ungated
from inplace.engine.preflight.checks import Accepted, Rejected, UpToDate, preflight
from inplace.engine.snapshot import DeploymentTarget, ObservedPod, Snapshot
from inplace.model.constants import RECORD_ANNOTATION
from inplace.model.objects.meta import OwnerReference
from inplace.model.objects.pods import Container
from inplace.model.refs import TargetRef
from inplace.model.run import Run, RunOptions
from tests.builders import (
    GATE,
    LEASE,
    NEW,
    NS,
    OLD,
    budget,
    container,
    deployment,
    endpoint,
    facts,
    in_service,
    next_set,
    observed,
    of_deployment,
    of_pods,
    of_replica_set,
    pod,
    record,
    replica_set,
    run,
    service,
    slice_of,
    template,
)

BARE = run(target=TargetRef(kind="Pods", namespace=NS, pod_names=("web-a",)))
SELECTED = run(target=TargetRef(kind="Pods", namespace=NS, selector="app=web"))


def pods(n: int = 3, **fields: Any) -> list[ObservedPod]:
    return [in_service(pod(f"web-{i}", **fields)) for i in range(n)]


def bare(**fields: Any) -> Snapshot:
    return observed(in_service(pod(**{"owner": None, **fields})), target=of_pods())


def judged(view: Snapshot, r: Run | None = None, resuming: bool = False) -> object:
    return preflight(view, r or run(), LEASE, resuming)


def refusal(view: Snapshot, r: Run | None = None, resuming: bool = False) -> str:
    verdict = judged(view, r, resuming)
    assert isinstance(verdict, Rejected), verdict
    assert "\n" not in verdict.message
    return verdict.message


def ready(view: Snapshot, r: Run | None = None) -> Accepted:
    verdict = judged(view, r)
    assert isinstance(verdict, Accepted), verdict
    return verdict


def texts(view: Snapshot, r: Run | None = None) -> tuple[str, ...]:
    return tuple(map(str, ready(view, r).warnings))


class TestTarget:
    def test_that_does_not_exist(self) -> None:
        assert refusal(observed(target=of_deployment(None))) == "deploy/web does not exist in namespace default"
        assert "does not exist" in refusal(observed(target=of_replica_set(None)))

    def test_that_is_being_deleted(self) -> None:
        d = deployment()
        leaving = msgspec.structs.replace(
            d, metadata=msgspec.structs.replace(d.metadata, deletion_timestamp="2026-01-01T00:00:00Z")
        )
        assert refusal(observed(*pods(), target=of_deployment(leaving, replica_set()))) == "deploy/web is being deleted"

    def test_pods_that_do_not_exist(self) -> None:
        assert refusal(observed(target=of_pods("web-a")), BARE) == "pod/web-a does not exist in namespace default"
        assert refusal(observed(target=of_pods()), SELECTED) == "no pods match 'app=web' in namespace default"

    def test_a_rollout_under_way(self) -> None:
        two = of_deployment(deployment(), replica_set(), next_set(replicas=1))
        said = refusal(observed(*pods(), target=two))
        assert said == "deploy/web has 2 active ReplicaSets (web-1, web-2): a rollout is under way; let it end, or undo it"

    def test_no_replica_set_yet(self) -> None:
        assert "has no ReplicaSet yet" in refusal(observed(target=of_deployment(deployment())))

    @pytest.mark.parametrize(
        ("target", "gate", "may_pass"),
        [
            (of_deployment(deployment(), replica_set(), next_set(replicas=1)), GATE, True),
            (of_deployment(deployment()), GATE, True),
            (of_deployment(deployment(), replica_set()), "example", False),
        ],
        ids=["a rollout under way", "no ReplicaSet yet", "another gate"],
    )
    def test_what_its_own_controller_may_change_is_worth_waiting_for(
        self, target: DeploymentTarget, gate: str, may_pass: bool
    ) -> None:
        found = judged(observed(*pods(), target=target), run(RunOptions(gate=gate)))
        assert isinstance(found, Rejected)
        assert found.may_pass is may_pass

    def test_a_template_that_differs_in_more_than_images(self) -> None:
        edited = deployment(template_=template(OLD, dnsPolicy="None"))
        said = refusal(observed(*pods(), target=of_deployment(edited, replica_set())))
        assert "more than images (spec.dnsPolicy)" in said
        assert "roll that out first" in said

    @pytest.mark.parametrize(("image", "says"), [("reg:5055/APP:2", "not in lower case"), ("app@sha256:abc", "not 64 hex")])
    def test_an_image_that_no_node_can_pull_wherever_it_comes_from(self, image: str, says: str) -> None:
        said = refusal(observed(*pods()), run(images={"app": image}))
        assert said.startswith(f"deploy/web would get an image that no node can pull: app={image} has a ")
        assert says in said
        going_back = judged(observed(*pods()), run(images={"app": image}), resuming=True)
        assert not isinstance(going_back, Rejected)

    def test_a_template_that_differs_in_images_only_is_accepted(self) -> None:
        changed = of_deployment(deployment(NEW, paused=True), replica_set())
        assert isinstance(judged(observed(*pods(), target=changed)), Accepted)

    def test_a_resume_does_not_mind_its_own_half_done_commit(self) -> None:
        half = of_deployment(deployment(paused=True), replica_set(NEW))
        assert isinstance(judged(observed(*pods(images=NEW), target=half), resuming=True), Accepted)


class TestContainers:
    def test_that_do_not_exist(self) -> None:
        said = refusal(observed(*pods()), run(images={"ap": "x"}))
        assert said == "deploy/web has no container 'ap'; it has: app"

    def test_a_plain_init_container_is_changed_with_a_warning(self) -> None:
        inits = template(OLD, initContainers=[{"name": "setup", "image": "setup:1"}])
        target = of_deployment(deployment(template_=inits), replica_set(template_=inits))
        own = tuple(in_service(pod(f"web-{i}", sidecars=[Container(name="setup", image="setup:1")])) for i in range(3))
        found = judged(observed(*own, target=target), run(images={"setup": "setup:2"}))
        assert isinstance(found, Accepted)
        assert any("setup" in warning and "next recreated" in warning for warning in map(str, found.warnings))

    def test_a_sidecar_is_fine(self) -> None:
        inits = template(OLD, initContainers=[{"name": "mesh", "image": "mesh:1", "restartPolicy": "Always"}])
        target = of_deployment(deployment(template_=inits), replica_set(template_=inits))
        mesh = [container("mesh", "mesh:1", restart_policy="Always")]
        assert isinstance(judged(observed(*pods(sidecars=mesh), target=target), run(images={"mesh": "mesh:2"})), Accepted)

    def test_a_pod_without_that_container(self) -> None:
        view = observed(*pods(2), in_service(pod("web-9", images={"other": "x"})))
        assert refusal(view) == "pod/web-9 has no container 'app'"


class TestGate:
    def test_none_at_all_says_how_to_add_one(self) -> None:
        plain = template(OLD, readinessGates=None)
        target = of_deployment(deployment(template_=plain), replica_set(template_=plain))
        said = refusal(observed(*pods(gates=()), target=target))
        assert said.startswith(
            f"deploy/web has no readiness gate {GATE}, so its pods cannot be drained: see that somebody opens"
        )
        assert said.index("inplace gate run") < said.index("`readinessGates")

    def test_another_one_is_named(self) -> None:
        assert "name the one it has with --gate (inplace.dev/ready)" in refusal(
            observed(*pods()), run(RunOptions(gate="example"))
        )

    def test_a_pod_that_is_older_than_the_gate(self) -> None:
        view = observed(*pods(2), in_service(pod("web-9", gates=())))
        assert refusal(view).startswith(f"pod/web-9 has no readiness gate {GATE}: it was created before")


class TestOwners:
    @pytest.mark.parametrize(
        ("kind", "tool"),
        [
            ("ReplicaSet", "upgrade its Deployment, or rs/x if it has none"),
            ("Job", "a Job's pods run once; change the Job"),
            ("StatefulSet", "upgrade sts/x"),
            ("DaemonSet", "upgrade ds/x"),
            ("Rollout", "Argo Rollouts manages it"),
            ("Unheard", "change the image in Unheard/x"),
        ],
    )
    def test_a_managed_pod_is_not_bare(self, kind: str, tool: str) -> None:
        said = refusal(bare(owner=OwnerReference(kind, "x", "u", controller=True)), BARE)
        assert said.startswith(f"pod/web-a is managed by {kind}/x, which would undo or repeat the change: ")
        assert tool in said

    @pytest.mark.parametrize("kind", ["CloneSet", "StatefulSet", "DaemonSet"])
    def test_kinds_of_openkruise_are_told_by_their_group(self, kind: str) -> None:
        """Two of them are called as the stock ones are."""
        said = refusal(bare(owner=OwnerReference(kind, "x", "u", "apps.kruise.io/v1beta1", controller=True)), BARE)
        assert said.endswith(f"OpenKruise upgrades it in place itself; change the image in {kind}/x")

    def test_a_mirror_of_a_static_pod_is_told_from_other_owned_pods(self) -> None:
        """The kubelet makes the Node its controller."""
        node = OwnerReference("Node", "node-1", "u", controller=True)
        view = bare(owner=node, annotations={"kubernetes.io/config.mirror": "x"})
        assert refusal(view, BARE) == "pod/web-a is a mirror of a static pod: change its manifest on node node-1"

    def test_a_workloads_own_pods_are(self) -> None:
        assert isinstance(judged(observed(*pods())), Accepted)


class TestRecords:
    def test_garbage(self) -> None:
        said = refusal(observed(*pods(2), in_service(pod("web-9", record="garbage"))))
        assert said.startswith(f"pod/web-9: annotation {RECORD_ANNOTATION} cannot be read")
        assert "remove it by hand" in said

    def test_another_version(self) -> None:
        assert "has version 2" in refusal(observed(in_service(pod(record=record(v=2)))))

    def test_a_bare_pod_that_another_run_holds(self) -> None:
        said = refusal(bare(record=record(lease="inplace-pods-1")), BARE)
        assert said.startswith("pod/web-a is being upgraded by another run (Lease inplace-pods-1)")
        assert isinstance(judged(bare(record=record()), BARE), Accepted)

    def test_a_workloads_pod_is_adopted(self) -> None:
        assert isinstance(judged(observed(in_service(pod(record=record(lease="x"))))), Accepted)


class TestBudget:
    def test_the_workloads_own_zero(self) -> None:
        for own in (0, "0%"):
            target = of_deployment(deployment(max_unavailable=own), replica_set())
            said = refusal(observed(*pods(), target=target))
            assert said.startswith("deploy/web has maxUnavailable 0")
            assert "--max-unavailable" in said
            assert isinstance(judged(observed(*pods(), target=target), run(RunOptions(max_unavailable=1))), Accepted)

    def test_a_disruption_budget_that_never_allows_one(self) -> None:
        view = observed(*pods(), budgets=(budget("strict", desired_healthy=3, expected=3),))
        assert refusal(view).startswith("PodDisruptionBudget strict never allows a pod of deploy/web")

    def test_one_that_is_only_exhausted_now_or_for_other_pods(self) -> None:
        others = (
            budget("now", desired_healthy=2, expected=3, healthy=2),
            budget("db", desired_healthy=3, expected=3, app="db"),
        )
        assert isinstance(judged(observed(*pods(), budgets=others)), Accepted)

    @pytest.mark.parametrize(
        ("desired", "taken"), [(0, "as no limit besides maxUnavailable"), (1, "as it was computed last")], ids=["never", "once"]
    )
    def test_one_that_its_controller_cannot_compute_is_told(self, desired: int, taken: str) -> None:
        failed = budget("some", desired_healthy=desired, expected=3 * bool(desired), problem="no scale")
        said = texts(observed(*pods(), budgets=(failed,)))
        assert f"PodDisruptionBudget some cannot be computed (no scale): it is taken {taken}" in said
        of_others = budget("db", app="db", problem="no scale")
        assert not any("cannot be computed" in line for line in texts(observed(*pods(), budgets=(of_others,))))


class TestServices:
    def test_that_cannot_be_drained(self) -> None:
        view = observed(*pods(), services=(service(publish=True),))
        said = refusal(view)
        assert said.startswith("Service web has publishNotReadyAddresses")
        assert said.endswith("say --accept-undrainable web")
        assert isinstance(judged(view, run(RunOptions(accept_undrainable=("web",)))), Accepted)

    def test_listed_by_hand(self) -> None:
        p = pod(ip="10.0.0.7")
        by_hand = slice_of(endpoint("", True, ip="10.0.0.7"), service="byhand")
        assert "Service byhand lists the address of web-a by hand" in refusal(observed(facts(p, by_hand)))

    def test_peer_discovery_is_warned_of_by_name_and_not_waited_for(self) -> None:
        peers = slice_of(endpoint("uid-web-a", True), service="peers")
        web = slice_of(endpoint("uid-web-a", True), service="web")
        services = (service("peers", headless=True, publish=True), service())
        more = slice_of(endpoint("uid-web-b", True), service="web")
        verdict = ready(observed(facts(pod(), peers, web), services=services, slices=(peers, web, more)))
        assert verdict.waited_for == ("web",)
        wanted = "Service peers has publishNotReadyAddresses (headless, for peer discovery): it is not waited for"
        assert wanted in map(str, verdict.warnings)


class TestWarnings:
    def test_none_where_nothing_is_odd(self) -> None:
        assert ready(observed(*pods())) == Accepted((), ("web",))

    def test_no_probe(self) -> None:
        bare_template = template(OLD)
        del bare_template["spec"]["containers"][0]["readinessProbe"]
        target = of_deployment(deployment(template_=bare_template), replica_set(template_=bare_template))
        (said,) = texts(observed(*pods(), target=target))
        assert said.startswith("container app has no readiness probe")

    @pytest.mark.parametrize("image", ["repo/app", "repo/app:latest"])
    def test_a_mutable_tag(self, image: str) -> None:
        (said,) = texts(observed(*pods()), run(images={"app": image}))
        assert said.startswith(f"{image} (app) is a mutable tag")

    @pytest.mark.parametrize(
        ("meta", "says", "then"),
        [
            ({"annotations": {"argocd.argoproj.io/tracking-id": "shop:x"}}, "Argo CD (shop:x)", "its next sync"),
            ({"labels": {"argocd.argoproj.io/instance": "shop"}}, "Argo CD (shop)", "its next sync"),
            ({"labels": {"kustomize.toolkit.fluxcd.io/name": "apps"}}, "Flux (apps)", "its next sync"),
            ({"labels": {"helm.toolkit.fluxcd.io/name": "web"}}, "Flux (web)", "its next sync"),
            ({"annotations": {"meta.helm.sh/release-name": "web"}}, "Helm (web)", "the next `helm upgrade`"),
        ],
    )
    def test_whoever_syncs_it_would_put_its_own_images_back(self, meta: dict[str, Any], says: str, then: str) -> None:
        d = deployment()
        managed = msgspec.structs.replace(d, metadata=msgspec.structs.replace(d.metadata, **meta))
        seen = observed(*pods(), target=of_deployment(managed, replica_set()))
        (said,) = texts(seen)
        assert said.startswith(f"deploy/web is managed by {says}: change the images there as well, or {then} sets the old ones")
        assert texts(seen, run(adopts_template=True)) == (), "what it brings the pods to comes from there"

    def test_flux_over_helm_is_told_once_and_as_flux(self) -> None:
        """A Helm release that Flux installs carries both marks."""
        both = {
            "labels": {"helm.toolkit.fluxcd.io/name": "web"},
            "annotations": {"meta.helm.sh/release-name": "web"},
        }
        d = deployment()
        managed = msgspec.structs.replace(d, metadata=msgspec.structs.replace(d.metadata, **both))
        (said,) = texts(observed(*pods(), target=of_deployment(managed, replica_set())))
        assert "managed by Flux (web)" in said


class TestWithoutTheGate:
    ASKED = run(RunOptions(without_gate=True))

    def test_how_many_are_not_drained_and_how_to_add_it(self) -> None:
        view = observed(in_service(pod("web-0", gates=())), *pods(2))
        (said,) = texts(view, self.ASKED)
        assert said.startswith(f"1 of 3 pods have no gate {GATE} and are restarted without a drain")
        assert "add `readinessGates:" in said
        assert count_ungated(view.pods, self.ASKED) == 1
        assert count_ungated(view.pods, run()) == 0

    def test_where_all_have_it_nothing_is_special(self) -> None:
        (said,) = texts(observed(*pods()), self.ASKED)
        assert said == "every pod has the gate, so all are drained: --without-gate changes nothing"

    def test_no_service_is_waited_for_and_none_is_in_the_way(self) -> None:
        view = observed(in_service(pod("web-0", gates=())), services=(service(publish=True),))
        verdict = ready(view, self.ASKED)
        assert verdict.waited_for == ()


class TestNoChange:
    NEW_TARGET = of_deployment(deployment(NEW), replica_set(NEW))

    def test_pods_and_template(self) -> None:
        assert judged(observed(*pods(images=NEW), target=self.NEW_TARGET)) == UpToDate()

    @pytest.mark.parametrize(
        "view",
        [
            observed(*pods(images=NEW)),
            observed(*pods(2, images=NEW), in_service(pod("web-9")), target=NEW_TARGET),
            observed(*pods(2, images=NEW), in_service(pod("web-9", images=NEW, record=record())), target=NEW_TARGET),
        ],
        ids=["template behind", "a pod behind", "a record left"],
    )
    def test_is_not_said_while_anything_is_behind(self, view: Snapshot) -> None:
        assert isinstance(judged(view), Accepted)

    def test_a_resume_always_goes_on(self) -> None:
        assert isinstance(judged(observed(*pods(images=NEW), target=self.NEW_TARGET), resuming=True), Accepted)

    def test_refusals_come_first(self) -> None:
        view = observed(*pods(images=NEW, gates=()), target=self.NEW_TARGET)
        assert "no readiness gate" in refusal(view)


def test_a_run_that_would_not_fit_into_its_lease_is_refused() -> None:
    names = tuple(f"{'pod' * 60}-{number}" for number in range(600))
    many = run(target=TargetRef(kind="Pods", namespace=NS, pod_names=names))
    verdict = preflight(bare(), many, LEASE, resuming=False)
    assert isinstance(verdict, Rejected)
    assert "too large for a Lease" in verdict.message
    assert "name fewer pods" in verdict.message
