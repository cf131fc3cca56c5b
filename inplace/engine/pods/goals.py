"""Decides which images each pod of a run is to have: those of the run, under the names that admission gives them.

A pod keeps an image that means the wanted one. A rollback returns it to the images in its own record, and leaves a pod that the
run never touched with whatever it runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from inplace.engine.snapshot import ObservedPod
from inplace.model.images import stands_for
from inplace.model.record import UpgradeRecord
from inplace.model.run import Run


class Goal(msgspec.Struct, frozen=True):
    """The images that pods are to have; all fields are by container name."""

    images: dict[str, str]
    """The images that a pod is patched to if it has to change."""
    aliases: Mapping[str, frozenset[str]] = {}
    """Other names of those images: the template's and the user's."""
    other_images: Mapping[str, frozenset[str]] = {}
    """All other images of the run: those it started from, and earlier targets."""
    rolled_back_images: Mapping[str, frozenset[str]] | None = None
    """During a rollback, the images to return from. A pod with none of them and without a record was never touched."""

    def images_for(self, facts: ObservedPod) -> dict[str, str]:
        """Returns the images that this pod is to have."""
        if facts.spec_has_images(self.images):
            return self.images
        record = facts.record if isinstance(facts.record, UpgradeRecord) else None
        if record is None and self._is_untouched(facts):
            return {name: facts.images.get(name, image) for name, image in self.images.items()}
        came_from = record.from_images if record is not None else {}
        return {name: self._one(name, facts.images.get(name), came_from.get(name)) for name in self.images}

    def is_met_by(self, facts: ObservedPod) -> bool:
        """Whether the pod's spec has the images. It says nothing about what runs."""
        return facts.spec_has_images(self.images_for(facts))

    def accepts(self, name: str, image: str) -> bool:
        """Whether this image of that container means the wanted one."""
        wanted, others = self.images[name], self.other_images.get(name, frozenset())
        return image in self.aliases.get(name, ()) or stands_for(image, wanted, others)

    def _one(self, name: str, have: str | None, came_from: str | None) -> str:
        return next((image for image in (have, came_from) if image and self.accepts(name, image)), self.images[name])

    def _is_untouched(self, facts: ObservedPod) -> bool:
        if self.rolled_back_images is None:
            return False
        for name, left in self.rolled_back_images.items():
            have, back = facts.images.get(name, ""), {self.images[name], *self.aliases.get(name, ())}
            if any(stands_for(have, image, back) for image in left):
                return False
        return True


def goal_of(run: Run) -> Goal:
    images = run.images_on_pods
    same = _by_container(images, (run.images, run.images_before_admission if not run.rolling_back else {}))
    all_images = _by_container(images, run.known_images)
    others = {name: all_images[name] - same[name] - {image} for name, image in images.items()}
    if not run.rolling_back:
        return Goal(images, same, others)
    gone_from = (run.requested_images, run.pod_images, run.images_before_admission, run.rewritten, *run.superseded_images)
    left = {name: of - same[name] - {images[name]} for name, of in _by_container(images, gone_from).items()}
    return Goal(images, same, others, left)


def _by_container(names: Iterable[str], images: Iterable[Mapping[str, str]]) -> dict[str, frozenset[str]]:
    maps = tuple(images)
    return {name: frozenset(m[name] for m in maps if name in m) for name in names}
