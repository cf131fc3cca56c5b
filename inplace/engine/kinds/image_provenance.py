"""Which images something besides a stored run vouches for: a Lease is written with fewer rights than changing a pod takes.

Specs and records of pods, and templates of the workload and its history, are written by those who may change pods or workloads.
A run in a Lease counts for nothing by itself: it brings pods to no image, forward or back, that none of these has.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from inplace.engine.kinds.registry import strategy_for
from inplace.engine.snapshot import Snapshot
from inplace.engine.workloads.templates import images_of
from inplace.model.record import UpgradeRecord
from inplace.model.run import Run

Images = Mapping[str, str]


def believed(stored: Run, snapshot: Snapshot, asked: Images) -> Run:
    """The stored run without the images that nothing vouches for, and without a commit that nothing shows.

    `asked`: what a person requests now, which vouches for itself. While a commit has the Deployment paused, the images before
    may be stored nowhere else any more, and are kept.
    """
    known = {*_known(snapshot), *asked.items()}

    def checked(images: Images) -> dict[str, str]:
        return {name: image for name, image in images.items() if (name, image) in known}

    wanted = checked(stored.original_images) if stored.original_images is not None else None
    images, before = checked(stored.images), checked(stored.from_images)
    is_paused = strategy_for(snapshot).is_paused()
    is_begun = is_paused or all(facts.spec_has_images(stored.images) for facts in snapshot.pods)
    commit = stored.commit if is_begun else None
    if commit is not None and is_paused:
        before = stored.from_images
    # What admission makes of an image is learned afresh where only the Lease says it.
    named = {
        name: image
        for name, image in checked(stored.images_before_admission).items()
        if name in stored.images and name not in images
    }
    return msgspec.structs.replace(
        stored,
        images={**images, **named} if wanted is None else images,
        images_before_admission={name: image for name, image in stored.images_before_admission.items() if name in images},
        pod_images=checked(stored.pod_images),
        pod_from_images=checked(stored.pod_from_images),
        from_images=before,
        original_images=wanted,
        commit=commit,
    )


def believed_commit(snapshot: Snapshot, run: Run) -> Run:
    """The run as far as its stored commit may be finished for its own sake."""
    return strategy_for(snapshot).believed_commit(run, is_vouched=not unvouched(run.from_images, snapshot))


def unfinished(snapshot: Snapshot, run: Run) -> str:
    """Why a stored commit is left, and what to do."""
    images = ", ".join(f"{name}={image}" for name, image in run.images.items())
    others = [facts.pod.name for facts in snapshot.pods if not facts.spec_has_images(run.images)]
    why = f"pod/{others[0]} does not run that" if others else "not every pod is back in service"
    words = " ".join((*run.target.cli_args, *(f"{name}={image}" for name, image in run.images.items())))
    return f"its commit of {images} is not finished, since {why}: `inplace upgrade {words}` brings the pods there"


def unvouched(images: Images, snapshot: Snapshot) -> str:
    """Names the images that nothing vouches for; empty: none."""
    known = set(_known(snapshot))
    return ", ".join(f"{name}={image}" for name, image in images.items() if (name, image) not in known)


def _known(snapshot: Snapshot) -> Iterator[tuple[str, str]]:
    for facts in snapshot.pods:
        yield from facts.images.items()
        if isinstance(facts.record, UpgradeRecord):
            yield from facts.record.from_images.items()
            yield from facts.record.to_images.items()
    for template in strategy_for(snapshot).templates():
        yield from images_of(template).items()
