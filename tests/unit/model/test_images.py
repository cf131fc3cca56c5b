"""References of images: read as the runtimes read them, compared by what they mean."""

import pytest

from inplace.model.images import (
    Reference,
    accepts,
    image_problem,
    is_mutable_tag,
    is_valid_image,
    parse_reference,
    same_image,
    stands_for,
)
from tests.unit.references import BAD, DIGEST, GOOD

OTHER = "sha256:" + "b" * 64


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("app", ("docker.io", "library/app", "latest", "")),
        ("app:1", ("docker.io", "library/app", "1", "")),
        ("shop/app:1", ("docker.io", "shop/app", "1", "")),
        ("docker.io/app:1", ("docker.io", "library/app", "1", "")),
        ("index.docker.io/library/app:1", ("docker.io", "library/app", "1", "")),
        ("localhost/app:1", ("localhost", "app", "1", "")),
        ("localhost:5000/app", ("localhost:5000", "app", "latest", "")),
        ("reg.example:5000/a/b:1.2", ("reg.example:5000", "a/b", "1.2", "")),
        (f"reg.example/a@{DIGEST}", ("reg.example", "a", "", DIGEST)),
        (f"reg.example/a:1@{DIGEST}", ("reg.example", "a", "1", DIGEST)),
    ],
)
def test_a_reference_is_read(text: str, parts: tuple[str, str, str, str]) -> None:
    assert parse_reference(text) == Reference(*parts)


def test_the_same_image_is_told_by_its_whole_name_not_by_its_end() -> None:
    assert same_image("docker.io/library/app:1", "app:1")
    assert same_image("docker.io/shop/app", "shop/app:latest")
    assert not same_image("mirror.corp/app:1", "app:1")
    assert not same_image("reg.example/library/app:1", "app:1")


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        ("reg/app:2", f"reg/app:2@{DIGEST}"),
        ("reg/app:2", "mirror/reg/app:2"),
        ("app:2", f"mirror.example:5000/hub/library/app:2@{DIGEST}"),
        ("reg.example/app:2", f"reg.example/app@{DIGEST}"),
        (f"reg/app:2@{DIGEST}", f"mirror/app@{DIGEST}"),
    ],
)
def test_what_admission_may_make_of_an_image(asked: str, answered: str) -> None:
    assert accepts(asked, answered)


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        ("reg/app:2", "reg/app:3"),
        ("reg/app:2", f"reg/app:3@{DIGEST}"),
        ("reg/app:2", "reg/other:2"),
        ("reg/app", "reg/app:2"),
        ("reg/app:2", f"mirror/reg/app@{DIGEST}"),
        (f"reg/app:2@{DIGEST}", f"reg/app:2@{OTHER}"),
        (f"reg/app:2@{DIGEST}", "reg/app:2"),
    ],
)
def test_what_it_may_not(asked: str, answered: str) -> None:
    assert not accepts(asked, answered)


def test_an_image_that_could_be_the_previous_is_not_the_new_one() -> None:
    assert stands_for("mirror/reg/app:2", "reg/app:2", ["reg/app:1"])
    assert not stands_for("reg/app:1", "mirror/reg/app:1", ["reg/app:1"])
    assert stands_for("mirror/reg/app:1", "mirror/reg/app:1", ["reg/app:1"])
    assert not stands_for(f"reg/app@{DIGEST}", "reg/app:2", ["reg/app:1"]), "a digest alone is of either"


@pytest.mark.parametrize("text", GOOD)
def test_images_that_a_runtime_could_pull(text: str) -> None:
    assert image_problem(text) == ""


@pytest.mark.parametrize(("text", "says"), BAD)
def test_images_that_no_runtime_could_pull_say_why(text: str, says: str) -> None:
    assert says in image_problem(text)


@pytest.mark.parametrize(
    "image", ["app", "app:1", "repo/app:1.2-x", "registry.io:5000/team/app:1", f"repo/app@sha256:{'a' * 64}", "a" * 1024]
)
def test_images_that_a_kubelet_could_try(image: str) -> None:
    assert is_valid_image(image)


@pytest.mark.parametrize("image", ["", " app", "app:1 ", "app\n", "-app", "app;rm", "$(x)", "app:ü", "a" * 1025])
def test_images_that_no_kubelet_could_pull(image: str) -> None:
    assert not is_valid_image(image)


@pytest.mark.parametrize(
    ("image", "mutable"), [("app", True), ("app:main", True), ("app:1", False), ("app:latest@sha256:ab", False)]
)
def test_tags_that_are_commonly_moved(image: str, mutable: bool) -> None:
    assert is_mutable_tag(image) is mutable
