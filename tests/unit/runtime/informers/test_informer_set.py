"""The caches of a controller by namespace: its own, or one for all."""

from __future__ import annotations

from inplace.kube.paging import ListResult
from inplace.model.objects.meta import ObjectMeta
from inplace.model.rollout import InPlaceRollout, Phase, RolloutSpec, RolloutStatus, RolloutTarget
from inplace.runtime.informers.informer_set import InformerSet, key_of
from tests.unit.kube.fakes import FakeClock
from tests.unit.runtime.fakes import Server, api


def rollout(name: str, phase: Phase | None = None, *, namespace: str = "shop", version: str = "1") -> InPlaceRollout:
    meta = ObjectMeta(name=name, namespace=namespace, uid=f"uid-{namespace}-{name}", resource_version=version)
    spec = RolloutSpec(target=RolloutTarget(kind="Deployment", name="web"))
    return InPlaceRollout(metadata=meta, spec=spec, status=RolloutStatus(phase=phase))


def informers(*namespaces: str) -> InformerSet:
    return InformerSet(api(Server(), FakeClock()), namespaces, lambda _lost: None)


def test_each_namespace_has_its_own_caches() -> None:
    made = informers("shop", "bank")
    assert made.in_namespace("shop") is not made.in_namespace("bank")
    assert len(made.pod_caches) == 2
    made.in_namespace("shop").rollouts.replace(ListResult((rollout("up"),), "1"))
    assert made.rollout(("shop", "up")) is not None
    assert made.rollout(("bank", "up")) is None


def test_one_set_of_caches_serves_all_namespaces() -> None:
    made = informers()
    assert made.in_namespace("shop") is made.in_namespace("bank")
    both = (rollout("up", "Progressing"), rollout("up", "Succeeded", namespace="bank"))
    made.in_namespace("shop").rollouts.replace(ListResult(both, "1"))
    assert [key_of(each) for each in made.rollouts()] == [("shop", "up"), ("bank", "up")]
    assert (made.count("Progressing"), made.count("Failed")) == (1, 0)


def test_the_latest_version_is_that_of_the_cache() -> None:
    made, old, new = informers("shop"), rollout("up"), rollout("up", "Pending", version="2")
    assert made.latest(old) is old
    made.in_namespace("shop").rollouts.replace(ListResult((new,), "2"))
    assert made.latest(old) is new


def test_a_watch_state_reaches_the_listener_that_came_last() -> None:
    made, told = informers("shop"), list[str]()
    made.on_watch_state(lambda: told.append("first"))
    made.on_watch_state(lambda: told.append("second"))
    assert not made.is_synced
    assert made.error is None
    made.reflectors[0].on_closed()
    assert set(told) <= {"second"}
