import pytest

from inplace.model.meta import LabelSelector, LabelSelectorRequirement, version_of


def needs(key: str, operator: str, *values: str) -> LabelSelector:
    return LabelSelector(match_expressions=(LabelSelectorRequirement(key, operator, values or None),))


@pytest.mark.parametrize("labels", [None, {}, {"a": "1"}])
def test_an_empty_selector_matches_everything(labels: dict[str, str] | None) -> None:
    assert LabelSelector().matches(labels)


@pytest.mark.parametrize(
    ("selector", "labels", "matches"),
    [
        (LabelSelector(match_labels={"a": "1"}), {"a": "1", "b": "2"}, True),
        (LabelSelector(match_labels={"a": "1"}), {"a": "2"}, False),
        (LabelSelector(match_labels={"a": "1"}), None, False),
        (needs("a", "In", "1", "2"), {"a": "2"}, True),
        (needs("a", "In", "1", "2"), {"a": "3"}, False),
        (needs("a", "In", "1"), {}, False),
        (needs("a", "NotIn", "1"), {"a": "2"}, True),
        (needs("a", "NotIn", "1"), {"a": "1"}, False),
        (needs("a", "NotIn", "1"), {}, True),
        (needs("a", "Exists"), {"a": ""}, True),
        (needs("a", "Exists"), {}, False),
        (needs("a", "DoesNotExist"), {}, True),
        (needs("a", "DoesNotExist"), {"a": ""}, False),
        (needs("a", "Unheard", "1"), {"a": "1"}, False),
    ],
)
def test_requirements(selector: LabelSelector, labels: dict[str, str] | None, matches: bool) -> None:
    assert selector.matches(labels) is matches


def test_labels_and_expressions_must_both_hold() -> None:
    both = LabelSelector(match_labels={"a": "1"}, match_expressions=(LabelSelectorRequirement("b", "Exists"),))
    assert both.matches({"a": "1", "b": "x"})
    assert not both.matches({"a": "1"})
    assert not both.matches({"b": "x"})


def test_as_a_query_parameter() -> None:
    expressions = tuple(
        LabelSelectorRequirement(key, operator, values)
        for key, operator, values in [
            ("c", "In", ("x", "y")),
            ("d", "NotIn", ("z",)),
            ("e", "Exists", None),
            ("f", "DoesNotExist", None),
        ]
    )
    selector = LabelSelector(match_labels={"b": "2", "a": "1"}, match_expressions=expressions)
    assert selector.text() == "a=1,b=2,c in (x,y),d notin (z),e,!f"


@pytest.mark.parametrize(("text", "number"), [("", 0), ("7", 7), ("12x", 0), ("-1", 0)])
def test_resource_versions_are_numbers_that_grow(text: str, number: int) -> None:
    assert version_of(text) == number
