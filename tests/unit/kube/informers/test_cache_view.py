"""A part of a cache is what a filter of the whole would be, after whatever happened, and its listener could rebuild it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from inplace.kube.informers.cache import Cache
from inplace.kube.informers.cache_view import FilteredCache
from inplace.kube.paging import ListResult
from inplace.model.objects.meta import HasMetadata, ObjectMeta
from inplace.model.objects.pods import Pod

NAMES = st.sampled_from(("a", "b", "c"))
CHANGES = st.lists(
    st.tuples(st.sampled_from(("apply", "delete", "upsert")), NAMES, st.integers(0, 1), st.booleans()), max_size=30
)


def pod(name: str, life: int, version: int, *, picked: bool) -> Pod:
    labels = {"pick": "yes"} if picked else {}
    meta = ObjectMeta(name=name, namespace="shop", uid=f"{name}-{life}", resource_version=str(version), labels=labels)
    return Pod(metadata=meta)


def is_picked(obj: HasMetadata) -> bool:
    return (obj.metadata.labels or {}).get("pick") == "yes"


@given(before=CHANGES, after=CHANGES)
def test_a_cache_view_is_a_filter_of_the_whole(
    before: list[tuple[str, str, int, bool]], after: list[tuple[str, str, int, bool]]
) -> None:
    cache: Cache[Pod] = Cache()
    cache.replace(ListResult((), "1"))
    rebuilt: dict[str, Pod] = {}

    def listen(old: Pod | None, new: Pod | None) -> None:
        if old is not None:
            assert rebuilt.pop(old.uid) == old
        if new is not None:
            rebuilt[new.uid] = new

    for version, (how, name, life, picked) in enumerate(before, 2):
        getattr(cache, how)(pod(name, life, version, picked=picked))
    selection = FilteredCache(cache, is_picked, listen)
    frozen, held = selection.snapshot(), dict(selection.snapshot())
    for version, (how, name, life, picked) in enumerate(after, 100):
        getattr(cache if how == "apply" else selection if how == "upsert" else cache, how)(
            pod(name, life, version, picked=picked)
        )
    wanted = {uid: known for uid, known in cache.snapshot().items() if is_picked(known)}
    assert dict(selection.snapshot()) == wanted == rebuilt
    assert frozen == held
    for known in wanted.values():
        assert selection.get_by_name("shop", known.name) == known
    selection.close()
    cache.apply(pod("a", 0, 1000, picked=True))
    assert rebuilt == wanted
