"""The last ready endpoint of a Service: refused before the first write, waited for in the run, drained where it is allowed."""

from tests.scenarios.facts import fewest_ready
from tests.scenarios.manifests import container, deployment, service, statefulset
from tests.scenarios.rollouts import Rollouts
from tests.scenarios.scene import Scene

REFUSED = 5
DB = {"app": "db"}


def with_a_primary(scene: Scene) -> None:
    """Three pods, of which one has a Service of its own, as Patroni and others label it."""
    scene.deploy(statefulset("db", scene.image("app:1"), replicas=3, parallel=True), service("db"), count=3)
    scene.label("pod/db-1", role="primary")
    scene.create(service("primary", selector={**DB, "role": "primary"}))
    scene.until(lambda: len(scene.endpoints()) == 4, "the Service of the primary has its endpoint")
    scene.remember()


def test_the_service_of_a_primary(scene: Scene) -> None:
    with_a_primary(scene)
    command = scene.command("--max-unavailable", "1", target="sts/db", app="app:2")
    why = "Service primary has no other endpoint than pod/db-1"
    scene.check_refused(scene.inplace(*command), REFUSED, why, "--allow-outage")
    planned = scene.inplace("plan", *command[1:])
    assert (planned.code, why in planned.stderr) == (REFUSED, True), planned
    assert scene.our_writes() == []

    done = scene.inplace(*command, "--allow-outage")
    assert done.code == 0, done
    assert f"warning: {why}: its requests fail while that restarts" in done.stdout + done.stderr
    scene.check_same_pods()
    scene.until_all_serve()


def test_once_a_second_pod_serves_it_nothing_fails(scene: Scene) -> None:
    """The refusal's own advice."""
    with_a_primary(scene)
    scene.label("pod/db-0", role="primary")
    scene.until(lambda: len(scene.endpoints()) == 5, "both are endpoints")
    scene.stage.let_pass(3)
    with scene.stage.client_of_service("primary", 0.05) as client:
        done = scene.inplace(*scene.command("--max-unavailable", "100%", target="sts/db", app="app:2"))
        assert done.code == 0, done
    assert client.failures == []
    assert client.bodies == {"1", "2"}
    scene.check_same_pods()


def test_everything_at_once_leaves_one_pod_until_another_is_back(scene: Scene) -> None:
    scene.deploy(deployment("web", [container("app", scene.image("app:1"), boot=1)]), service("web"), count=3)
    scene.stage.let_pass(3)
    with scene.stage.client_of_service("web", 0.05) as client:
        ended = scene.upgrade("--max-unavailable", "100%", app="app:2")
    assert "waiting for another endpoint of Service web than pod/" in ended.said
    assert client.failures == []
    assert fewest_ready(scene.witness.log(), scene.witness.since) == 1
    scene.check(upgraded=3, max_unavailable=2)
    scene.check_same_pods()


def test_all_at_once_where_an_outage_is_allowed(scene: Scene) -> None:
    scene.web(3)
    scene.upgrade("--max-unavailable", "100%", "--allow-outage", app="app:2")
    assert fewest_ready(scene.witness.log(), scene.witness.since) == 0
    scene.check(upgraded=3, max_unavailable=3)


def test_an_in_place_rollout_of_one_replica(scene: Scene, rollouts: Rollouts) -> None:
    scene.web(1)
    rollouts.control()
    rollouts.apply("no", app="app:2")
    assert "has no other endpoint than pod/" in rollouts.until("no", "Refused")["message"]
    assert scene.on_image("app:2") == set()
    rollouts.apply("yes", app="app:2", allowOutage=True)
    rollouts.until("yes", "Succeeded")
    scene.check_same_pods()
    scene.check_consistent("app:2", {1: "app:1", 2: "app:2"}, replicas=1)


def test_a_pod_without_a_service_is_nobodys_endpoint(scene: Scene) -> None:
    scene.web(1, serve=False)
    scene.upgrade(app="app:2")
    scene.check(upgraded=1)


def test_traffic_that_slices_do_not_steer_is_named(scene: Scene) -> None:
    made = deployment("web", scene.image("app:1"), replicas=2)
    made["spec"]["template"]["spec"]["readinessGates"].append({"conditionType": "target-health.elbv2.k8s.aws/k8s-shop-web"})
    local = service("local", selector={"app": "web"}, internalTrafficPolicy="Local")
    names = service("names", selector={"app": "web"}, headless=True)
    scene.create(made, service("web"), local, names)
    scene.until(lambda: len(scene.pods()) == 2, "the pods are there")
    for pod in scene.pods():
        scene.set_gate(pod["metadata"]["name"], "True", "target-health.elbv2.k8s.aws/k8s-shop-web")
    scene.open_gates()
    scene.until(lambda: len([e for e in scene.endpoints() if e["conditions"].get("ready")]) == 6, "they serve")
    planned = scene.inplace("plan", "deploy/web", f"app={scene.image('app:2')}", "-o", "json")
    assert planned.code == 0, planned
    for reason in ("LoadBalancerTargets", "NodeLocalTraffic", "CachedNames"):
        assert f'"reason":"{reason}"' in planned.stdout.replace(": ", ":"), planned.stdout
    said = scene.inplace("plan", "deploy/web", f"app={scene.image('app:2')}").stderr
    assert "Service local has internalTrafficPolicy Local" in said
    assert "Service names is headless" in said
