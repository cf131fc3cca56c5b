"""Verbs: what goes out, and what refusals become."""

from __future__ import annotations

import json
from typing import Any

import pytest

from inplace.kube.api import ApiClient, RequestInfo
from inplace.kube.codec import MalformedResponse, error_from_response
from inplace.kube.errors import (
    AlreadyExists,
    ApiError,
    Conflict,
    ConnectionFailed,
    Forbidden,
    Gone,
    Invalid,
    NotFound,
    ServerError,
    TooManyRequests,
    Unauthorized,
)
from inplace.kube.limiter import RateLimiter
from inplace.kube.protocols import STRATEGIC_MERGE, Request, Response
from inplace.kube.resources import DEPLOYMENTS, LEASES, NAMESPACES, PODS
from inplace.model.objects.coordination import Lease, LeaseSpec
from inplace.model.objects.meta import ObjectMeta

from .fakes import Answer, FakeClock, FakeTransport, ok, page, pod, query, refusal


def api_of(*script: Answer, **settings: Any) -> tuple[ApiClient, FakeTransport]:
    transport = FakeTransport(*script)
    return ApiClient(transport=transport, clock=FakeClock(), **settings), transport


@pytest.mark.parametrize(
    ("code", "reason", "expected"),
    [
        (400, "BadRequest", ApiError),
        (401, "Unauthorized", Unauthorized),
        (403, "Forbidden", Forbidden),
        (404, "NotFound", NotFound),
        (409, "Conflict", Conflict),
        (409, "AlreadyExists", AlreadyExists),
        (410, "Expired", Gone),
        (415, "UnsupportedMediaType", ApiError),
        (422, "Invalid", Invalid),
        (429, "TooManyRequests", TooManyRequests),
        (500, "InternalError", ServerError),
        (504, "Timeout", ServerError),
    ],
)
def test_each_refusal_is_a_class_with_the_servers_words(code: int, reason: str, expected: type[ApiError]) -> None:
    api, _ = api_of(*[refusal(code, "pods is\n  forbidden", reason)] * 5)
    with pytest.raises(ApiError) as caught:
        api.get(PODS, "shop", "web")
    assert type(caught.value) is expected
    assert str(caught.value) == "pods is forbidden"
    assert (caught.value.status, caught.value.reason) == (code, reason)


def test_a_refusal_that_is_no_status_object_names_the_request() -> None:
    api, _ = api_of(*[Response(status=502, body=b"<html>bad gateway</html>")] * 5)
    with pytest.raises(ServerError, match=r"^GET /api/v1/namespaces/shop/pods/web: HTTP status 502$"):
        api.get(PODS, "shop", "web")


def test_a_very_long_refusal_is_cut() -> None:
    api, _ = api_of(refusal(422, "x" * 5000))
    with pytest.raises(Invalid) as caught:
        api.get(PODS, "shop", "web")
    assert len(str(caught.value)) == 400


def test_an_answer_of_other_types_is_malformed() -> None:
    api, _ = api_of(ok({"metadata": {"name": 7}}))
    with pytest.raises(MalformedResponse, match="Pod that cannot be read"):
        api.get(PODS, "shop", "web")


def test_get_reads_the_struct_and_get_raw_everything() -> None:
    api, _ = api_of(ok(pod("web", 3)), ok(pod("web", 3)))
    assert api.get(PODS, "shop", "web").metadata.resource_version == "3"
    assert api.get_raw(PODS, "shop", "web")["metadata"]["managedFields"] == [{"manager": "kubelet"}]


def test_names_are_percent_encoded() -> None:
    api, transport = api_of(ok(pod("web", 3)))
    api.get(PODS, "shop", "a?b")
    assert transport.requests[0].path == "/api/v1/namespaces/shop/pods/a%3Fb"


@pytest.mark.parametrize(
    ("namespace", "name"), [("shop", "a/b"), ("shop", ".."), ("shop", "a/../b"), ("shop/pods", ""), ("..", "a")]
)
def test_a_name_leads_to_no_other_path(namespace: str, name: str) -> None:
    """The API server decodes before it looks where a path leads, so encoding would not do."""
    api, transport = api_of(ok(pod("web", 3)))
    with pytest.raises(Invalid, match="is no name of a Kubernetes object"):
        api.get(PODS, namespace, name)
    assert transport.requests == []


def test_a_list_is_paged_and_never_asks_for_an_old_view() -> None:
    api, transport = api_of(page(9, pod("a", 1), more="t1"), page(9, pod("b", 2)))
    listing = api.list(PODS, "shop", label_selector="app=x", field_selector="spec.nodeName=n", page=1)
    assert [p.name for p in listing.items] == ["a", "b"]
    assert listing.resource_version == "9"
    first, second = (query(request) for request in transport.requests)
    assert first == {"labelSelector": "app=x", "fieldSelector": "spec.nodeName=n", "limit": "1"}
    assert second == {**first, "continue": "t1"}


def test_an_expired_continue_token_starts_the_list_over() -> None:
    api, transport = api_of(
        page(9, pod("a", 1), pod("gone", 2), more="t1"), refusal(410), page(12, pod("a", 1), more="t2"), page(12, pod("b", 11))
    )
    assert [p.name for p in api.list(PODS).items] == ["a", "b"]
    assert "continue" not in query(transport.requests[2])


def test_a_list_whose_tokens_always_expire_ends_in_one_piece() -> None:
    api, transport = api_of(*[page(9, pod("a", 1), more="t"), refusal(410)] * 3, page(9, pod("a", 1), pod("b", 1)))
    assert len(api.list(PODS).items) == 2
    assert "limit" not in query(transport.requests[-1])


def test_a_410_on_a_first_page_is_not_ours_to_mend() -> None:
    api, _ = api_of(refusal(410))
    with pytest.raises(Gone):
        api.list(PODS)


@pytest.mark.parametrize("body", [{}, {"kind": "Status", "status": "Success"}, {"items": []}])
def test_other_json_does_not_pass_for_an_empty_list(body: dict[str, Any]) -> None:
    api, _ = api_of(ok(body))
    with pytest.raises(MalformedResponse):
        api.list(PODS)


def test_items_null_is_an_empty_list() -> None:
    api, _ = api_of(ok({"metadata": {"resourceVersion": "4"}, "items": None}))
    assert api.list(PODS).items == ()


def test_a_patch_names_its_manager_type_and_subresource() -> None:
    api, transport = api_of(ok(pod("web", 4)))
    api.patch(PODS, "shop", "web", {"metadata": {"labels": {"a": None}}}, STRATEGIC_MERGE, subresource="status", dry_run=True)
    (request,) = transport.requests
    assert (request.method, request.path) == ("PATCH", "/api/v1/namespaces/shop/pods/web/status")
    assert request.query == (("fieldManager", "inplace"), ("dryRun", "All"))
    assert request.content_type == STRATEGIC_MERGE
    assert request.body == b'{"metadata":{"labels":{"a":null}}}'


def test_a_write_that_must_not_be_repeated_is_not() -> None:
    api, transport = api_of(ConnectionFailed("lost"), ok(pod("web", 4)))
    with pytest.raises(ConnectionFailed):
        api.patch(PODS, "shop", "web", {}, STRATEGIC_MERGE, retries=False)
    assert len(transport.requests) == 1


def test_any_other_write_is_repeated() -> None:
    api, transport = api_of(ConnectionFailed("lost"), refusal(503), ok(pod("web", 4)))
    assert api.patch(PODS, "shop", "web", {}, STRATEGIC_MERGE).metadata.resource_version == "4"
    assert len(transport.requests) == 3


def test_a_struct_is_created_with_its_kind() -> None:
    lease = Lease(metadata=ObjectMeta(name="l"), spec=LeaseSpec(holder_identity="me"))
    api, transport = api_of(ok({"metadata": {"name": "l"}}, status=201))
    api.create(LEASES, "shop", lease)
    assert json.loads(transport.requests[0].body or b"") == {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": "l"},
        "spec": {"holderIdentity": "me"},
    }


def test_a_delete_takes_exactly_the_object_meant() -> None:
    api, transport = api_of(ok({"kind": "Status"}))
    api.delete(PODS, "shop", "web", uid="u", resource_version="5", propagation="Orphan")
    assert json.loads(transport.requests[0].body or b"") == {
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "preconditions": {"uid": "u", "resourceVersion": "5"},
        "propagationPolicy": "Orphan",
    }


def test_a_dry_run_delete_says_so_in_its_body_not_in_the_query() -> None:
    api, transport = api_of(ok({"kind": "Status"}))
    api.delete(PODS, "shop", "web", uid="u", dry_run=True)
    (request,) = transport.requests
    assert request.is_dry_run
    assert json.loads(request.body or b"")["dryRun"] == ["All"]


def test_every_attempt_is_reported() -> None:
    seen: list[RequestInfo] = []
    api, _ = api_of(ConnectionFailed("lost"), refusal(503), ok(pod("web", 4)), on_request=seen.append)
    api.patch(PODS, "shop", "web", {}, STRATEGIC_MERGE, subresource="status")
    assert [(sent.method, sent.resource, sent.status) for sent in seen] == [
        ("PATCH", "pods/status", 0),
        ("PATCH", "pods/status", 503),
        ("PATCH", "pods/status", 200),
    ]


def test_a_429_slows_the_limiter_down() -> None:
    limiter = RateLimiter(FakeClock())
    api, _ = api_of(refusal(429, retry_after="1"), ok(pod("web", 4)), limiter=limiter)
    api.get(PODS, "shop", "web")
    assert limiter.qps == pytest.approx(10, abs=0.1)


def test_an_own_flow_passes_a_drained_limiter() -> None:
    clock = FakeClock()
    limiter = RateLimiter(clock, burst=1)
    api = ApiClient(transport=FakeTransport(ok(pod("web", 4)), ok(pod("web", 4))), clock=clock, limiter=limiter)
    api.get(PODS, "shop", "web")
    api.replace(limiter=None).get(PODS, "shop", "web")
    assert clock.slept == []


class Turns(RateLimiter):
    """Whose turn comes after a while."""

    def acquire(self) -> None:
        self._clock.sleep(3.0)


def test_a_write_is_guarded_when_its_turn_has_come() -> None:
    clock, transport = FakeClock(), FakeTransport(ok(pod("web", 3)), refusal(503), ok(pod("web", 4)))
    ends_at = clock.now + 7
    api = ApiClient(transport=transport, clock=clock, limiter=Turns(clock), write_guard=lambda: clock.now < ends_at)
    api.patch(PODS, "shop", "web", {}, STRATEGIC_MERGE)
    with pytest.raises(ConnectionFailed, match=r"^not sent: the lock was not renewed in time$"):
        api.patch(PODS, "shop", "web", {}, STRATEGIC_MERGE)
    assert [request.method for request in transport.requests] == ["PATCH", "PATCH"], "the second is not tried again"
    assert api.get(PODS, "shop", "web").metadata.resource_version == "4", "reading is always allowed"


def test_raw_gives_the_answer_or_raises() -> None:
    api, _ = api_of(ok({"gitVersion": "v1.36.3"}), refusal(404))
    assert json.loads(api.raw(Request(method="GET", path="/version")).body) == {"gitVersion": "v1.36.3"}
    with pytest.raises(NotFound):
        api.raw(Request(method="GET", path="/nope"))


def test_paths_follow_group_and_scope() -> None:
    assert DEPLOYMENTS.path("shop", "web", "scale") == "/apis/apps/v1/namespaces/shop/deployments/web/scale"
    assert DEPLOYMENTS.path() == "/apis/apps/v1/deployments"
    assert NAMESPACES.path("ignored", "shop") == "/api/v1/namespaces/shop"


@pytest.mark.parametrize("word", ["deploy", "Deployment", "deployments", "deployments.apps", "deployment.v1.apps"])
def test_kinds_answer_to_kubectls_words(word: str) -> None:
    assert DEPLOYMENTS.matches(word)


@pytest.mark.parametrize("word", ["deployments.extensions", "dep", ""])
def test_kinds_do_not_answer_to_others(word: str) -> None:
    assert not DEPLOYMENTS.matches(word)


@pytest.mark.parametrize(
    ("message", "words", "shown_by"),
    [
        (
            'pods is forbidden: User "jane" cannot list resource "pods" in API group "" in the namespace "shop"',
            "jane may not list pods in namespace shop: ask for a Role that allows it",
            "kubectl auth can-i list pods -n shop",
        ),
        (
            (
                'deployments.apps "web" is forbidden: User "system:serviceaccount:shop:ci" cannot patch resource "deployments"'
                ' in API group "apps" in the namespace "shop": requires one of ["container.deployments.update"] permission(s).'
            ),
            (
                "system:serviceaccount:shop:ci may not patch deployments in namespace shop: ask for a Role that allows it"
                ' (requires one of ["container.deployments.update"] permission(s).)'
            ),
            "kubectl auth can-i patch deployments.apps -n shop",
        ),
        (
            'pods "a" is forbidden: User "jane" cannot patch resource "pods/status" in API group "" in the namespace "shop"',
            "jane may not patch pods/status in namespace shop: ask for a Role that allows it",
            "kubectl auth can-i patch pods --subresource=status -n shop",
        ),
        (
            (
                'leases.coordination.k8s.io is forbidden: User "jane" cannot list resource "leases" in API group'
                ' "coordination.k8s.io" at the cluster scope'
            ),
            "jane may not list leases in all namespaces: ask for a ClusterRole that allows it",
            "kubectl auth can-i list leases.coordination.k8s.io -A",
        ),
        ('pods "a" is forbidden: exceeded quota: small', 'pods "a" is forbidden: exceeded quota: small', ""),
    ],
)
def test_a_missing_right_is_explained_a_policy_speaks_for_itself(message: str, words: str, shown_by: str) -> None:
    body = json.dumps({"kind": "Status", "reason": "Forbidden", "code": 403, "message": message}).encode()
    error = error_from_response(Request(method="GET", path="/x"), Response(status=403, body=body))
    assert isinstance(error, Forbidden)
    assert (str(error), error.shown_by) == (words, shown_by)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"Client sent an HTTP request to an HTTPS server.\n", " (Client sent an HTTP request to an HTTPS server.)"),
        (b"<html>no</html>", ""),
        (b"{", ""),
        (b"", ""),
        (b"x" * 201, ""),
    ],
)
def test_a_word_of_somebody_else_is_passed_on_and_no_page(body: bytes, says: str) -> None:
    error = error_from_response(Request(method="GET", path="/x"), Response(status=400, body=body))
    assert str(error) == f"GET /x: HTTP status 400{says}"
