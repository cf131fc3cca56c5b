"""Checks a stored run before anything acts on it: anyone who may write the Lease may have written the run.

So a stored run is input like a command line, and it must also fit the Lease that holds it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from inplace.model.images import is_valid_image
from inplace.model.int_or_percent import parse_int_or_percent
from inplace.model.objects.meta import ObjectMeta, check_selector
from inplace.model.refs import TargetRef
from inplace.model.run import PauseStep, PodsStep, Run, RunOptions, lease_name
from inplace.model.validation import condition_type, is_container_name, is_object_name

MAX_DURATION_SECONDS = 31 * 24 * 3600.0
MAX_CONTAINERS = 256


def run_problem(run: Run) -> str:
    """Says in one line what no run may ask for; empty if the run is valid."""
    return next(_problems(run), "")


def lease_mismatch(run: Run, lease: ObjectMeta) -> str:
    """Says in one line why the run cannot belong to this Lease; empty if it can."""
    target, owners = run.target, [owner.uid for owner in lease.owner_references or ()]
    if target.namespace != lease.namespace:
        return f"it is for namespace {target.namespace!r}, and its Lease is in {lease.namespace!r}"
    if lease_name(target) != lease.name:
        return f"it is for {target}, whose Lease has another name"
    if target.kind != "Pods" and owners and run.target_uid and run.target_uid not in owners:
        return f"it is for another {target} than the one that owns its Lease"
    return ""


def _problems(run: Run) -> Iterator[str]:
    yield from _target_problems(run.target)
    if run.commit is not None and run.target.kind not in ("Deployment", "ReplicaSet"):
        yield f"a {run.target.kind} has no commit of its own"
    for images in (run.images, run.original_images or {}):
        for container, image in images.items():
            if not is_container_name(container) or not is_valid_image(image):
                yield f"{container!r}={image!r} is no container and image"
    if any(len(images) > MAX_CONTAINERS for images in run.known_images):
        yield "it has more images than a pod has containers"
    yield from _option_problems(run.options)


def _target_problems(target: TargetRef) -> Iterator[str]:
    names = target.pod_names if target.kind == "Pods" else (target.name,)
    if target.kind == "Pods" and bool(target.pod_names) == bool(target.selector):
        yield "it is for pods by neither names nor labels, or by both"
    for name in names:
        if not is_object_name(name):
            yield f"{name!r} is no name of a Kubernetes object"
    if target.selector:
        yield from _error_of(check_selector, target.selector)


def _option_problems(options: RunOptions) -> Iterator[str]:
    yield from _error_of(condition_type, options.gate)
    pauses = [step.seconds for step in options.steps if isinstance(step, PauseStep)]
    amounts = [step.amount for step in options.steps if isinstance(step, PodsStep)]
    waits = (options.settle_seconds, options.drain_timeout_seconds, options.restart_timeout_seconds, options.min_ready_seconds)
    if any(s is not None and not (math.isfinite(s) and 0 <= s <= MAX_DURATION_SECONDS) for s in (*waits, *pauses)):
        yield "a duration of its options is out of range"
    for amount in (*amounts, options.max_unavailable):
        if isinstance(amount, str):
            yield from _error_of(parse_int_or_percent, amount)
        elif amount is not None and amount < 0:
            yield f"{amount} is no number of pods"
    if not options.steps or options.steps[-1] != PodsStep(amount="100%"):
        yield "its last step is not 100%"
    if options.max_failed < 0:
        yield f"{options.max_failed} is no number of pods that may fail"


def _error_of(check: Callable[[str], object], text: str) -> Iterator[str]:
    try:
        check(text)
    except ValueError as error:
        yield str(error)
