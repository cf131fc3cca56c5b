"""What is known, in which order changes are told, and what can never come back."""

from __future__ import annotations

import pytest

from inplace.kube.informers.cache import MAX_TOMBSTONES, Cache
from inplace.kube.paging import ListResult
from inplace.model.objects.meta import ObjectMeta
from inplace.model.objects.pods import Pod

Change = tuple[str | None, str | None]


def obj(name: str, version: int, uid: str = "") -> Pod:
    return Pod(metadata=ObjectMeta(name=name, namespace="shop", uid=uid or f"uid-{name}", resource_version=str(version)))


def told(cache: Cache[Pod]) -> list[Change]:
    """Changes from now on, as `uid@version`."""
    changes: list[Change] = []

    def text(pod: Pod | None) -> str | None:
        return f"{pod.uid}@{pod.metadata.resource_version}" if pod else None

    cache.subscribe(lambda old, new: changes.append((text(old), text(new))))
    return changes


@pytest.fixture
def cache() -> Cache[Pod]:
    cache: Cache[Pod] = Cache()
    cache.replace(ListResult((obj("a", 5), obj("b", 6)), "10"))
    return cache


def test_a_cache_has_synced_once_a_whole_list_is_in() -> None:
    cache: Cache[Pod] = Cache()
    cache.upsert(obj("a", 1))
    assert not cache.has_synced
    cache.replace(ListResult((), "10"))
    assert cache.has_synced


def test_objects_are_found_by_uid_and_by_name(cache: Cache[Pod]) -> None:
    assert cache.get("uid-a") == cache.get_by_name("shop", "a") == obj("a", 5)
    assert cache.get_by_name("other", "a") is None


def test_own_writes_show_at_once_and_their_echo_changes_nothing(cache: Cache[Pod]) -> None:
    changes = told(cache)
    cache.upsert(obj("a", 12))
    cache.apply(obj("a", 11))
    cache.apply(obj("a", 12))
    assert changes == [("uid-a@5", "uid-a@12")]


def test_a_late_response_does_not_revert_what_the_watch_showed(cache: Cache[Pod]) -> None:
    cache.apply(obj("a", 13))
    cache.upsert(obj("a", 12))
    assert cache.get("uid-a") == obj("a", 13)


def test_versions_are_numbers_not_text(cache: Cache[Pod]) -> None:
    cache.apply(obj("a", 99))
    cache.apply(obj("a", 100))
    assert cache.get("uid-a") == obj("a", 100)


def test_a_late_answer_does_not_bring_a_deleted_object_back(cache: Cache[Pod]) -> None:
    cache.delete(obj("a", 12))
    changes = told(cache)
    cache.upsert(obj("a", 11))
    cache.upsert(obj("a", 12))
    assert changes == []
    assert cache.get_by_name("shop", "a") is None


def test_a_late_response_does_not_revive_what_a_list_shows_gone(cache: Cache[Pod]) -> None:
    cache.replace(ListResult((obj("b", 6),), "20"))
    cache.upsert(obj("a", 15))
    assert cache.get("uid-a") is None


def test_an_object_that_left_the_selection_may_return(cache: Cache[Pod]) -> None:
    cache.delete(obj("a", 12))
    cache.apply(obj("a", 14))
    assert cache.get("uid-a") == obj("a", 14)


def test_an_object_recreated_under_the_same_name_is_another(cache: Cache[Pod]) -> None:
    changes = told(cache)
    cache.apply(obj("a", 20, uid="new"))
    cache.delete(obj("a", 19))
    cache.upsert(obj("a", 18))
    assert changes == [("uid-a@5", None), (None, "new@20")]
    assert cache.get_by_name("shop", "a") == obj("a", 20, uid="new")


def test_a_late_response_of_the_old_object_leaves_the_new_one(cache: Cache[Pod]) -> None:
    cache.apply(obj("c", 20, uid="new"))
    cache.upsert(obj("c", 19, uid="old, never seen"))
    assert cache.get_by_name("shop", "c") == obj("c", 20, uid="new")


def test_a_list_is_taken_as_a_difference(cache: Cache[Pod]) -> None:
    changes = told(cache)
    cache.replace(ListResult((obj("a", 5), obj("b", 15), obj("c", 16)), "20"))
    assert changes == [("uid-b@6", "uid-b@15"), (None, "uid-c@16")]


def test_a_list_tells_a_recreation_in_order(cache: Cache[Pod]) -> None:
    changes = told(cache)
    cache.replace(ListResult((obj("a", 15, uid="new"), obj("b", 6)), "20"))
    assert changes == [("uid-a@5", None), (None, "new@15")]


def test_a_list_that_is_older_than_our_write_does_not_undo_it(cache: Cache[Pod]) -> None:
    cache.upsert(obj("ours", 25))
    cache.upsert(obj("a", 26))
    cache.replace(ListResult((obj("a", 5), obj("b", 6)), "20"))
    assert cache.get("uid-ours") == obj("ours", 25)
    assert cache.get("uid-a") == obj("a", 26)


def test_after_a_restore_from_a_backup_the_list_counts(cache: Cache[Pod]) -> None:
    cache.apply(obj("a", 500))
    cache.delete(obj("b", 501))
    changes = told(cache)
    cache.replace(ListResult((obj("a", 3), obj("b", 4)), "10"))
    assert changes == [("uid-a@500", "uid-a@3"), (None, "uid-b@4")]
    assert cache.resource_version == 10


def test_bookmarks_move_what_was_seen_and_own_writes_do_not(cache: Cache[Pod]) -> None:
    cache.bookmark("50")
    cache.upsert(obj("a", 70))
    assert cache.resource_version == 50


def test_a_snapshot_stays_as_it_was(cache: Cache[Pod]) -> None:
    before = cache.snapshot()
    cache.apply(obj("a", 11))
    cache.delete(obj("b", 12))
    assert before == {"uid-a": obj("a", 5), "uid-b": obj("b", 6)}
    assert cache.snapshot() == {"uid-a": obj("a", 11)}


def test_snapshots_between_changes_are_the_same_mapping(cache: Cache[Pod]) -> None:
    assert cache.snapshot() == cache.snapshot()
    with pytest.raises(TypeError):
        cache.snapshot()["x"] = obj("x", 1)  # type: ignore[index]


def test_the_version_counts_changes_only(cache: Cache[Pod]) -> None:
    before = cache.version
    cache.apply(obj("a", 5))
    cache.bookmark("60")
    assert cache.version == before
    cache.apply(obj("a", 61))
    assert cache.version == before + 1


def test_a_listener_sees_the_cache_as_changed_and_can_leave(cache: Cache[Pod]) -> None:
    seen: list[Pod | None] = []
    unsubscribe = cache.subscribe(lambda _old, _new: seen.append(cache.get("uid-a")))
    cache.apply(obj("a", 11))
    unsubscribe()
    cache.apply(obj("a", 12))
    assert seen == [obj("a", 11)]


def test_the_memory_of_deletions_is_bounded(cache: Cache[Pod]) -> None:
    for number in range(MAX_TOMBSTONES + 5):
        cache.delete(obj(f"p{number}", 100 + number))
    assert len(cache._tombstones) == MAX_TOMBSTONES
