"""Tells whether a template still is what the run knows: its own images, the ones before, and nothing else changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from inplace.engine.workloads.identity import edited_since
from inplace.engine.workloads.sequence import Blocked
from inplace.engine.workloads.templates import images_of
from inplace.model.images import accepts
from inplace.model.objects.workloads import DaemonSet, ReplicaSet, StatefulSet
from inplace.model.run import Run


def foreign_template_images(template: Mapping[str, Any], run: Run, name: str) -> Blocked | None:
    """Images in the template that are neither the run's old or new ones, nor those of a run that it took over from."""
    return foreign_images(images_of(template), run, name)


def foreign_images(have: Mapping[str, str], run: Run, name: str) -> Blocked | None:
    """The same of any images by container; `name`: of the object that has them."""
    for container in run.images:
        image, known = have.get(container), {images.get(container) for images in run.known_images}
        if image not in known and not any(accepts(meant, image) for meant in known if meant and image):
            return Blocked(f"somebody set container {container} of {name} to {have.get(container)} in the middle")
    return None


def edited(workload: ReplicaSet | StatefulSet | DaemonSet, run: Run) -> Blocked | None:
    """A template that differs in more than images from the one that the run started with, also where every pod carries the
    edit by now, so that template and pods agree."""
    reason = edited_since(workload.spec.template, run)
    return Blocked(reason) if reason else None
