"""Parses targets and images as kubectl users write them: `deploy/web app=repo/app:1.5`.

Pure, and needs no cluster. Every error is a ValueError with one line for a person.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from inplace.cli.common.typos import did_you_mean, like
from inplace.kube.resources import JOBS, PODS, WORKLOADS, Resource
from inplace.model.images import image_problem
from inplace.model.objects.meta import check_selector
from inplace.model.refs import TargetKind, TargetRef
from inplace.model.validation import is_container_name, is_object_name

SUPPORTED: tuple[tuple[TargetKind, Resource[Any]], ...] = (*WORKLOADS.items(), ("Pods", PODS))
UPGRADABLE = "write deploy/NAME, sts/NAME, ds/NAME, rs/NAME, pod/NAME... or pods -l SELECTOR"
KINDS = "deploy, sts, ds, rs or pod"
KIND_WORDS = ("deploy", "deployment", "sts", "statefulset", "ds", "daemonset", "rs", "replicaset", "pod", "pods")


def parse_upgrade(words: Sequence[str], selector: str = "") -> tuple[TargetRef, dict[str, str]]:
    """Like `parse_arguments`, but requires images for bare pods, since no template names any."""
    target, images = parse_arguments(words, selector)
    if not images and target.kind == "Pods":
        raise ValueError("say which images: CONTAINER=IMAGE (bare pods have no template to take them from)")
    return target, images


def parse_arguments(words: Sequence[str], selector: str = "") -> tuple[TargetRef, dict[str, str]]:
    """Returns the target, its namespace still empty, and the images by container."""
    for word in words[1:]:
        _reject_bare_image(word)
    first_image = next((i for i, word in enumerate(words) if "=" in word), len(words))
    for word in words[first_image:]:
        if "=" not in word:
            raise ValueError(f"{word!r} comes after an image: name the target first, then CONTAINER=IMAGE")
    return parse_target(words[:first_image], selector), parse_images(words[first_image:])


def _reject_bare_image(word: str) -> None:
    """Raises if `word` is an image without a container: it has a colon, a digest, or no known kind, unlike a second target."""
    if "=" in word:
        return
    kind, slash, _ = word.partition("/")
    if ":" not in word and "@" not in word and (not slash or _is_kind(kind)):
        return
    name, colon, tag = word.partition(":")
    meant = f"{name}=REPOSITORY:{tag}" if colon and not slash else f"CONTAINER={word}"
    raise ValueError(f"{word!r} is not CONTAINER=IMAGE; did you mean {meant}?")


def _is_kind(word: str) -> bool:
    return any(resource.matches(word) for _, resource in SUPPORTED) or bool(_advice_for_other_tool(word))


def parse_images(words: Sequence[str]) -> dict[str, str]:
    images: dict[str, str] = {}
    for word in words:
        container, _, image = word.partition("=")
        if not is_container_name(container):
            raise ValueError(f"{word!r} is not CONTAINER=IMAGE: {container!r} is not a container name")
        if problem := image_problem(image):
            raise ValueError(f"{word!r}: the image {problem}")
        if container in images:
            raise ValueError(f"container {container!r} has two images")
        images[container] = image
    return images


def checked_image(text: str) -> str:
    if problem := image_problem(text):
        raise ValueError(f"{text!r} {problem}")
    return text


def parse_target(words: Sequence[str], selector: str = "") -> TargetRef:
    """Parses `deploy/web`, `deployment web`, `pod/a pod/b`, `pods a b` or `pods -l app=x`."""
    if not words:
        raise ValueError(f"TARGET is missing: {UPGRADABLE}")
    if "/" in words[0]:
        pairs = [_pair(word) for word in words]
    else:
        kind = kind_of(words[0], is_alone=len(words) == 1 and not selector)
        pairs = [(kind, name) for name in words[1:]]
        for name in words[1:]:
            if "/" in name:
                raise ValueError(f"{name!r}: write TYPE NAME or TYPE/NAME, not both")
        if not pairs:
            return _selected(kind, words[0], selector)
    kinds = {kind for kind, _ in pairs}
    if selector:
        raise ValueError("a selector and names cannot be combined")
    if len(kinds) > 1 or (len(pairs) > 1 and "Pods" not in kinds):
        raise ValueError(f"one target at a time: {' '.join(words)!r} names several")
    return _named(pairs)


def check_namespace(name: str) -> str:
    if not is_container_name(name):
        raise ValueError(f"{name!r} is not a namespace name")
    return name


def kind_of(word: str, *, is_alone: bool = False) -> TargetKind:
    for kind, resource in SUPPORTED:
        if resource.matches(word):
            return kind
    if elsewhere := _advice_for_other_tool(word):
        raise ValueError(elsewhere)
    if JOBS.matches(word) or word.lower() in ("cronjob", "cronjobs", "cj"):
        raise ValueError(f"a Job's pods run once and are not upgraded: {UPGRADABLE}")
    if is_alone:
        raise ValueError(f"say which kind {word!r} is, such as deploy/{word}: {UPGRADABLE}")
    raise ValueError(f"unknown kind {word!r}; use {KINDS}.{did_you_mean(like(word, KIND_WORDS)[:1])}")


def _advice_for_other_tool(word: str) -> str:
    """Returns what to do with a kind that another tool upgrades; empty for other kinds."""
    name, _, group = word.lower().partition(".")
    if name in ("cloneset", "clonesets", "clone") or group.endswith("apps.kruise.io"):
        return f"OpenKruise upgrades a {name} in place itself: change the image there (`kubectl edit {word}`)"
    if name in ("rollout", "rollouts", "ro") and group in ("", "argoproj.io", "v1alpha1.argoproj.io"):
        return "Argo Rollouts manages a rollout: change the image there (`kubectl argo rollouts set image`)"
    return ""


def _pair(word: str) -> tuple[TargetKind, str]:
    if "/" not in word:
        raise ValueError(f"{word!r} is neither TYPE/NAME nor CONTAINER=IMAGE")
    kind, _, name = word.partition("/")
    return kind_of(kind), name


def _named(pairs: list[tuple[TargetKind, str]]) -> TargetRef:
    names = [name for _, name in pairs]
    for name in names:
        if not is_object_name(name):
            raise ValueError(f"{name!r} is not the name of a Kubernetes object")
        if names.count(name) > 1:
            raise ValueError(f"{name!r} is named twice")
    kind = pairs[0][0]
    if kind == "Pods":
        return TargetRef("Pods", "", pod_names=tuple(names))
    return TargetRef(kind, "", names[0])


def _selected(kind: TargetKind, word: str, selector: str) -> TargetRef:
    if kind != "Pods":
        raise ValueError(f"say which {kind}, as {word}/NAME: one target at a time")
    if not selector:
        raise ValueError("say which pods: by name, or by label with -l")
    check_selector(selector)
    return TargetRef("Pods", "", selector=selector)
