"""Traffic that EndpointSlices do not steer is named, each kind by its reason."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from inplace.engine.preflight.traffic import traffic_warnings
from inplace.engine.snapshot import Snapshot
from inplace.model.objects.network import Service
from inplace.model.run import RunOptions
from tests.builders import (
    GATE,
    deployment,
    endpoint,
    facts,
    observed,
    of_deployment,
    pod,
    replica_set,
    run,
    service,
    slice_of,
    template,
)

NLB = "service.beta.kubernetes.io/aws-load-balancer-nlb-target-type"
ELB_GATE = "target-health.elbv2.k8s.aws/k8s-shop-web-1"
NEG_GATE = "cloud.google.com/load-balancer-neg-ready"


def view(*services: Service, gates: tuple[str, ...] = (GATE,), **pod_spec: Any) -> Snapshot:
    spec = {"readinessGates": [{"conditionType": gate} for gate in gates], **pod_spec}
    shape = template(**spec)
    target = of_deployment(deployment(template_=shape), replica_set(template_=shape))
    return observed(facts(pod("web-a", gates=gates)), facts(pod("web-b", gates=gates)), target=target, services=services)


def told(seen: Snapshot, options: RunOptions = RunOptions()) -> dict[str, str]:  # noqa: B008
    return {caution.reason: str(caution) for caution in traffic_warnings(seen, run(options))}


def test_an_ordinary_service_is_steered() -> None:
    assert told(view(service("web"))) == {}


@pytest.mark.parametrize("gate", [ELB_GATE, "target-health.alb.ingress.k8s.aws/x", NEG_GATE])
def test_gates_of_load_balancers(gate: str) -> None:
    said = told(view(gates=(GATE, gate)))
    assert list(said) == ["LoadBalancerTargets"]
    assert f"gate {gate}" in said["LoadBalancerTargets"]


@pytest.mark.parametrize(
    ("annotations", "is_named"),
    [
        ({NLB: "ip"}, True),
        ({NLB: "instance"}, False),
        ({"service.beta.kubernetes.io/aws-load-balancer-type": "nlb-ip"}, True),
        ({"service.beta.kubernetes.io/aws-load-balancer-type": "external"}, False),
        ({"cloud.google.com/neg": '{"ingress": true}'}, True),
        ({}, False),
    ],
)
def test_services_whose_load_balancer_knows_addresses(annotations: dict[str, str], is_named: bool) -> None:
    said = told(view(service("lb", type="LoadBalancer", annotations=annotations)))
    assert list(said) == ["LoadBalancerTargets"] * is_named
    assert not is_named or "Service lb" in said["LoadBalancerTargets"]


@pytest.mark.parametrize("policy", ["internal_traffic_policy", "external_traffic_policy"])
def test_services_that_stay_on_the_node(policy: str) -> None:
    spec: dict[str, Any] = {policy: "Local"}
    said = told(view(service("dns", **spec)))
    assert list(said) == ["NodeLocalTraffic"]
    assert "Service dns has " in said["NodeLocalTraffic"]


def test_names_that_clients_keep_for_longer_than_the_settle_time() -> None:
    seen = view(service("db", headless=True))
    assert "Service db is headless" in told(seen)["CachedNames"]
    assert told(seen, RunOptions(settle_seconds=30)) == {}
    assert told(view(service("db", headless=True, publish=True))) == {}


def test_ports_of_the_node() -> None:
    assert list(told(view(hostNetwork=True))) == ["HostNetwork"]
    containers = [{"name": "app", "image": "repo/app:1", "ports": [{"containerPort": 80, "hostPort": 8080}]}]
    said = told(view(containers=containers))
    assert list(said) == ["HostPort"]
    assert "(8080)" in said["HostPort"]


def test_a_slice_of_others_that_contradicts_a_pod() -> None:
    seen = view(service("web"))
    says = slice_of(endpoint("uid-web-a", False), service="web", manager="mesh.example")
    assert told(msgspec.structs.replace(seen, slices=(says,))) == {
        "SliceNotReady": "EndpointSlice web-x (mesh.example) says that pod/web-a is not ready, and the pod that it is: that"
        " slice is not waited for"
    }
    assert told(msgspec.structs.replace(seen, slices=(slice_of(endpoint("uid-web-a", False)),))) == {}


def test_foreign_services_and_undrained_pods_are_ignored() -> None:
    assert told(view(service("dns", selector={"app": "other"}, internal_traffic_policy="Local"))) == {}
    undrained = view(service("dns", internal_traffic_policy="Local"), gates=())
    assert told(undrained, RunOptions(without_gate=True)) == {}
