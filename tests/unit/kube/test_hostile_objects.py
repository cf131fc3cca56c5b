"""Objects that somebody has made to hurt us: each costs itself alone, whatever it holds, and in a list as in a watch."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inplace.kube import resources
from inplace.kube.codec import (
    Deleted,
    MalformedResponse,
    Modified,
    Obscured,
    Unreadable,
    decode,
    decode_event,
    decode_page,
    decode_raw,
)
from inplace.kube.depth import MAX_DEPTH, shallow
from inplace.kube.informers.cache import Cache
from inplace.kube.informers.reflector import Reflector
from inplace.kube.informers.reflector_thread import execute
from inplace.kube.paging import ListResult
from inplace.kube.resources import INPLACE_ROLLOUTS, PODS, Resource
from inplace.model.objects.meta import ObjectMeta
from inplace.model.objects.pods import Pod
from inplace.model.rollout import InPlaceRollout, unreadable_rollout
from tests.deep import nested, with_deep_fields

from .fakes import FakeClock, FakeStream, FakeTransport, event, page, pod

READ: tuple[Resource[Any], ...] = tuple(r for r in vars(resources).values() if isinstance(r, Resource))
SPECS: dict[str, Any] = {
    "InPlaceRollout": {"target": {"kind": "Deployment", "name": "web"}},
    "Pod": {"containers": [{"name": "app", "image": "app:1"}]},
}
DEEP = b"HERE"


def good(kind: str, name: str, version: int = 5) -> dict[str, Any]:
    meta = {"name": name, "namespace": "shop", "uid": f"uid-{name}", "resourceVersion": str(version)}
    return {"metadata": meta, **({"spec": SPECS[kind]} if kind in SPECS else {})}


def anything() -> st.SearchStrategy[Any]:
    """JSON of any shape: of the wrong type, huge, an unknown word."""
    plain = (
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text()
        | st.just("x" * 300_000)
    )
    return st.recursive(plain, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8)


@st.composite
def hostile(draw: st.DrawFn, kind: str) -> bytes:
    """A good object of which some field is made into something else."""
    obj = good(kind, "evil")
    names = ("metadata", "spec", "status", "endpoints", "data", "revision", "type", "kind", "reason", "note")
    where = draw(
        st.sampled_from((*names, "metadata.labels", "metadata.annotations", "metadata.ownerReferences", "metadata.name"))
    )
    first, _, second = where.partition(".")
    how = draw(st.sampled_from(("anything", "deep", "not UTF-8")))
    value = draw(anything()) if how == "anything" else DEEP.decode()
    if second:
        obj["metadata"][second] = value
    elif isinstance(obj.get(first), dict) and draw(st.booleans()):
        obj[first] = {**obj[first], draw(st.sampled_from(("phase", "onDelete", "template", "selector", "conditions"))): value}
    else:
        obj[first] = value
    levels = draw(st.sampled_from((200, 1500, 9000)))
    instead = {"deep": nested(levels), "not UTF-8": b'"\xff\xfe"'}.get(how, b'"HERE"')
    return json.dumps(obj).encode().replace(b'"HERE"', instead)


def listed(items: list[bytes], version: int = 10) -> bytes:
    return b'{"metadata":{"resourceVersion":"%d"},"items":[%s]}' % (version, b",".join(items))


@given(resource=st.sampled_from(READ), data=st.data())
def test_the_good_ones_are_kept_and_nothing_dies(resource: Resource[Any], data: st.DataObject) -> None:
    evil = data.draw(hostile(resource.kind))
    a, b, c = (json.dumps(good(resource.kind, name)).encode() for name in "abc")
    later = json.dumps(good(resource.kind, "c", 12)).encode()
    watch = [b'{"type":"%s","object":%s}' % (what, obj) for what, obj in ((b"MODIFIED", evil), (b"MODIFIED", later))]
    transport = FakeTransport(page(10), FakeStream(*watch, b'{"type":"DELETED","object":%s}' % evil))
    transport.script[0] = msgspec.structs.replace(page(10), body=listed([a, evil, b, c]))
    cache: Cache[Any] = Cache(unreadable_rollout if resource is INPLACE_ROLLOUTS else None)
    reflector = Reflector(resource, cache, FakeClock())
    while transport.script:
        execute(reflector.next_command(), reflector, transport)  # type: ignore[arg-type]
    kept = {obj.metadata.uid: obj.metadata.resource_version for obj in cache.snapshot().values()}
    kept.pop("uid-evil", None)
    if "" in kept:  # it says that it has no name and no uid
        kept.pop("")
    assert kept == {"uid-a": "5", "uid-b": "5", "uid-c": "12"}
    assert reflector.error is None


def test_a_service_that_nests_deep_is_read_all_the_same() -> None:
    """Or its author could hide what sends to a pod."""
    for levels in (1500, 9000):
        raw = with_deep_fields(good("Pod", "deep"), levels)
        assert decode(raw, Pod).spec.images() == {"app": "app:1"}
        assert [p.name for p in decode_page(listed([raw, raw]), Pod).items] == ["deep", "deep"]
        read = decode_event(b'{"type":"ADDED","object":%s}' % raw, Pod)
        assert isinstance(read, Modified)
        assert decode_raw(raw)["metadata"]["name"] == "deep"


def test_what_is_cut_is_exactly_what_is_too_deep() -> None:
    within, beyond = nested(MAX_DEPTH - 1), nested(MAX_DEPTH)
    assert shallow(within) == within
    assert json.loads(shallow(b'{"a":%s,"b":"}]{[\\\\\\"","c":[%s]}' % (nested(5000), nested(5000))))["b"] == '}]{[\\"'
    assert shallow(beyond) == beyond.replace(b"{}", b"null")


def test_a_bad_item_costs_itself_alone_and_is_named() -> None:
    bad = b'{"metadata":{"name":"bad","namespace":"shop","uid":"u","labels":{"app":"web"}},"spec":5}'
    read = decode_page(listed([json.dumps(good("Pod", "a")).encode(), bad]), Pod)
    assert [p.name for p in read.items] == ["a"]
    (lost,) = read.unreadable
    assert (lost.metadata.name, lost.metadata.uid, lost.metadata.labels) == ("bad", "u", {"app": "web"})
    assert str(lost) == "Pod bad in namespace shop cannot be read: Expected `object`, got `int` - at `$.spec`"


def test_of_metadata_that_cannot_be_read_its_names_are_told() -> None:
    (lost,) = decode_page(listed([b'{"metadata":{"name":"bad","uid":"u","labels":3,"namespace":["x"]}}']), Pod).unreadable
    assert (lost.metadata.name, lost.metadata.namespace, lost.metadata.uid) == ("bad", "", "u")


@pytest.mark.parametrize(
    "body", [b"[]", b"{}", b"", b'{"items":[]}', b'{"metadata":{"resourceVersion":5},"items":[]}', b"\xff"]
)
def test_what_is_no_list_is_no_empty_one(body: bytes) -> None:
    with pytest.raises(MalformedResponse):
        decode_page(body, Pod)


def obscured(version: int, uid: str = "uid-a", why: str = "odd") -> Unreadable:
    return Unreadable("Pod", ObjectMeta(name="a", namespace="shop", uid=uid, resource_version=str(version)), why)


class TestCache:
    """An object that was readable, and is no more."""

    def cache(self) -> Cache[Pod]:
        cache: Cache[Pod] = Cache()
        cache.replace(ListResult((decode(json.dumps(good("Pod", "a")).encode(), Pod),), "10"))
        return cache

    def test_it_stays_as_it_was_and_is_named(self) -> None:
        cache = self.cache()
        assert cache.mark_unreadable(obscured(11))
        assert not cache.mark_unreadable(obscured(12)), "told once"
        assert [p.name for p in cache.snapshot().values()] == ["a"]
        assert [lost.metadata.uid for lost in cache.unreadable] == ["uid-a"]

    def test_a_list_that_has_it_does_not_let_it_go(self) -> None:
        cache = self.cache()
        assert cache.replace(ListResult((), "20", (obscured(15),))) == (obscured(15),)
        assert "uid-a" in cache.snapshot()
        assert cache.replace(ListResult((), "30")) == ()
        assert not cache.snapshot()
        assert not cache.unreadable

    @pytest.mark.parametrize("end", ["apply", "delete"])
    def test_it_is_known_again(self, end: str) -> None:
        cache = self.cache()
        cache.mark_unreadable(obscured(11))
        getattr(cache, end)(decode(json.dumps(good("Pod", "a", 12)).encode(), Pod))
        assert not cache.unreadable

    def test_the_past_hides_nothing(self) -> None:
        cache = self.cache()
        cache.apply(decode(json.dumps(good("Pod", "a", 12)).encode(), Pod))
        assert not cache.mark_unreadable(obscured(11))
        assert not cache.unreadable


def test_a_rollout_of_another_version_is_there_with_its_metadata() -> None:
    cache: Cache[InPlaceRollout] = Cache(unreadable_rollout)
    obj = good("InPlaceRollout", "x", 11)
    transport = FakeTransport(page(10), FakeStream(event("ADDED", {**obj, "spec": {**obj["spec"], "onDelete": "Keep"}})))
    told: list[Unreadable] = []
    reflector = Reflector(INPLACE_ROLLOUTS, cache, FakeClock(), on_unreadable=told.append)
    while transport.script:
        execute(reflector.next_command(), reflector, transport)  # type: ignore[arg-type]
    there = cache.get_by_name("shop", "x")
    assert there is not None
    assert there.unreadable == "Invalid enum value 'Keep' - at `$.spec.onDelete`"
    assert [lost.metadata.name for lost in told] == ["x"]


def test_a_deletion_is_seen_though_its_object_cannot_be_read() -> None:
    raw = b'{"type":"DELETED","object":{"metadata":{"name":"a","uid":"uid-a","resourceVersion":"20"},"spec":7}}'
    gone = decode_event(raw, Pod)
    assert isinstance(gone, Deleted)
    cache: Cache[Pod] = Cache()
    cache.replace(ListResult((decode(json.dumps(pod("a", 5)).encode(), Pod),), "10"))
    cache.delete(gone.object)
    assert not cache.snapshot()


def test_the_kinds_above_are_all_that_are_read() -> None:
    assert PODS in READ
    assert len(READ) >= 14
    assert isinstance(decode_event(b'{"type":"ADDED","object":{"metadata":3}}', Pod), Obscured)
