"""All caches of a controller, by namespace: one `SharedInformers` for each namespace that it works in, or one for all."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from inplace.kube.api import ApiClient
from inplace.kube.codec import Unreadable
from inplace.kube.errors import ApiError
from inplace.kube.informers.cache import Cache
from inplace.kube.informers.reflector import all_synced, first_error
from inplace.model.objects.pods import Pod
from inplace.model.rollout import InPlaceRollout, Phase
from inplace.runtime.informers.shared_informers import SharedInformers

Key = tuple[str, str]
"""Namespace and name of a rollout."""


def key_of(rollout: InPlaceRollout) -> Key:
    return (rollout.metadata.namespace, rollout.metadata.name)


class InformerSet:
    """`namespaces` empty: all. `on_unreadable` gets each watched object that cannot be read, once for each reason."""

    def __init__(self, api: ApiClient, namespaces: tuple[str, ...], on_unreadable: Callable[[Unreadable], None]) -> None:
        self._on_watch_state: Callable[[], None] = lambda: None
        self._by_namespace = {
            namespace: SharedInformers(api, namespace, lambda: self._on_watch_state(), on_unreadable)
            for namespace in namespaces or (None,)
        }
        self.reflectors = tuple(r for informers in self for r in informers.reflectors)

    def __iter__(self) -> Iterator[SharedInformers]:
        return iter(self._by_namespace.values())

    def on_watch_state(self, listener: Callable[[], None]) -> None:
        """Call `listener` whenever a watch has begun, has got into trouble, or out of it."""
        self._on_watch_state = listener

    def in_namespace(self, namespace: str) -> SharedInformers:
        return self._by_namespace[namespace if namespace in self._by_namespace else None]

    def rollout(self, key: Key) -> InPlaceRollout | None:
        return self.in_namespace(key[0]).rollouts.get_by_name(*key)

    def latest(self, rollout: InPlaceRollout) -> InPlaceRollout:
        """Return the rollout as the cache has it, which our own writes update, or `rollout` itself once it is gone."""
        return self.rollout(key_of(rollout)) or rollout

    def rollouts(self) -> Iterator[InPlaceRollout]:
        for informers in self:
            yield from informers.rollouts.snapshot().values()

    def count(self, phase: Phase) -> int:
        """Count the rollouts in that phase."""
        return sum(rollout.status.phase == phase for rollout in self.rollouts())

    @property
    def pod_caches(self) -> tuple[Cache[Pod], ...]:
        return tuple(informers.pods for informers in self)

    @property
    def is_synced(self) -> bool:
        return all_synced(self.reflectors)

    @property
    def error(self) -> ApiError | None:
        """The last error of a watch that has not recovered since."""
        return first_error(self.reflectors)
