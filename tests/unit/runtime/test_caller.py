"""Who gives a command, on the wire: as the API server says, and what is said where it says nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from inplace.kube.api import ApiClient
from inplace.kube.clock import SystemClock
from inplace.kube.connection.config import ConnectOptions, connect
from inplace.kube.errors import ApiError
from inplace.kube.protocols import Request
from inplace.kube.retry import NO_RETRY
from inplace.model.run import format_signature
from inplace.runtime.caller import REVIEWS, Caller, client_name, identify_caller
from inplace.sim.serving import RunningCluster, serve
from tests.cli.fakes import FakeClock, FakeServer


@pytest.fixture(scope="module")
def served() -> Iterator[RunningCluster]:
    with serve(speed=50.0) as served:
        yield served


def api(served: RunningCluster, **options: str) -> ApiClient:
    connection = connect(ConnectOptions(server=served.url, **options), environ={})  # type: ignore[arg-type]
    return ApiClient(transport=connection.transport, clock=SystemClock(), policy=NO_RETRY)


def test_the_caller_is_who_the_api_server_says(served: RunningCluster) -> None:
    assert identify_caller(api(served)) == Caller("kubernetes-admin", client_name())
    jane = identify_caller(api(served, as_user="jane"))
    assert jane.text == f"jane ({client_name()})"
    assert identify_caller(api(served, as_user="system:serviceaccount:ci:deployer")).by == "system:serviceaccount:ci:deployer"


def test_the_review_says_what_the_real_one_says(served: RunningCluster) -> None:
    """As seen on Kubernetes 1.36.3: an impersonated ServiceAccount is in its groups, and anybody but the anonymous one in
    system:authenticated."""
    options = ConnectOptions(server=served.url, as_user="system:serviceaccount:ci:deployer")
    kind = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    request = Request(method="POST", path=REVIEWS, body=json.dumps(kind).encode())
    answer = connect(options, environ={}).transport.call(request, 5.0)
    said = json.loads(answer.body)
    assert (answer.status, said["kind"], said["apiVersion"]) == (201, kind["kind"], kind["apiVersion"])
    groups = ["system:serviceaccounts", "system:serviceaccounts:ci", "system:authenticated"]
    assert said["status"]["userInfo"] == {"username": "system:serviceaccount:ci:deployer", "groups": groups}


@pytest.mark.parametrize("how", ["refused", "not served", "says nothing"])
def test_a_caller_the_server_does_not_name_is_the_client_itself(how: str) -> None:
    server = FakeServer()
    match how:
        case "refused":
            server.refuse = {"/selfsubjectreviews": "no"}
        case "not served":
            server.missing = {"selfsubjectreviews"}
        case _:
            server.user = ""
    found = identify_caller(ApiClient(transport=server, clock=FakeClock(), policy=NO_RETRY))
    assert found == Caller(client_name(), client_name())
    assert found.text == f"{client_name()} (by its own account)"


def test_without_a_connection_it_fails_as_any_request_would() -> None:
    server = FakeServer()
    server.is_down = True
    with pytest.raises(ApiError, match="Connection refused"):
        identify_caller(ApiClient(transport=server, clock=FakeClock(), policy=NO_RETRY))


def test_of_a_run_from_before_only_what_it_says_is_told() -> None:
    assert (format_signature("root@vm", ""), format_signature("", "")) == ("root@vm", "")
