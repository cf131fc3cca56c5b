"""Label selectors: what a person writes is read as the API server reads it, and comes back as it was."""

from __future__ import annotations

import pytest

from inplace.model.objects.meta import parse_selector


@pytest.mark.parametrize(
    ("text", "yes", "no"),
    [
        ("app=web", {"app": "web"}, {"app": "db"}),
        ("app == web", {"app": "web"}, {}),
        ("app!=web", {}, {"app": "web"}),
        ("app in (web, db),tier", {"app": "db", "tier": ""}, {"app": "db"}),
        ("app notin (web,db)", {"app": "x"}, {"app": "web"}),
        ("!app", {}, {"app": "web"}),
        ("app=web,!canary", {"app": "web"}, {"app": "web", "canary": "1"}),
        ("example.com/app=", {"example.com/app": ""}, {"example.com/app": "x"}),
    ],
)
def test_reads_what_kubectl_takes(text: str, yes: dict[str, str], no: dict[str, str]) -> None:
    selector = parse_selector(text)
    assert selector.matches(yes)
    assert not selector.matches(no)
    assert parse_selector(selector.to_selector_string()) == selector


@pytest.mark.parametrize("text", ["", "=web", "app=web,", "a b", "app in", "app in web", "a=b=c"])
def test_says_what_is_no_selector(text: str) -> None:
    with pytest.raises(ValueError, match="is no label selector"):
        parse_selector(text)
