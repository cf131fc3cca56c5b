"""From kubeconfig and flags to a connection, and one line for everything that is missing."""

from __future__ import annotations

import stat
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from inplace.kube.connection.config import Connection, ConnectOptions, connect
from inplace.kube.errors import ConfigError

TOKEN = "sekret-token"


def kubeconfig(path: Path, current: str = "one", user: dict[str, Any] | None = None, **names: str) -> Path:
    """Contexts `one` and `two`, or those in `names`, on clusters of the same names."""
    contexts = names or {"one": "shop", "two": ""}
    path.write_text(
        yaml.safe_dump(
            {
                "current-context": current,
                "clusters": [{"name": name, "cluster": {"server": f"https://{name}.example"}} for name in contexts],
                "users": [{"name": "me", "user": {"token": TOKEN} if user is None else user}],
                "contexts": [
                    {"name": name, "context": {"cluster": name, "user": "me", **({"namespace": ns} if ns else {})}}
                    for name, ns in contexts.items()
                ],
            }
        )
    )
    return path


def opened(path: Path | str = "", environ: dict[str, str] | None = None, **options: Any) -> Connection:
    return connect(ConnectOptions(kubeconfig=str(path), **options), environ=environ or {})


def failure(path: Path | str = "", environ: dict[str, str] | None = None, **options: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        opened(path, environ, **options)
    assert "\n" not in str(caught.value)
    assert TOKEN not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return kubeconfig(tmp_path / "config")


def test_the_current_context_gives_server_and_namespace(file: Path) -> None:
    connection = opened(file)
    assert (connection.host, connection.namespace) == ("https://one.example", "shop")


def test_a_context_without_namespace_means_default(file: Path) -> None:
    connection = opened(file, context="two")
    assert (connection.host, connection.namespace) == ("https://two.example", "default")


def test_flags_replace_what_the_file_says(file: Path) -> None:
    assert opened(file, cluster="two").host == "https://two.example"
    assert opened(file, server="https://other.example/").host == "https://other.example"
    assert opened(file, namespace="mine").namespace == "mine"


def test_of_several_files_the_first_current_context_counts(tmp_path: Path) -> None:
    first = kubeconfig(tmp_path / "first", current="one", one="a")
    second = kubeconfig(tmp_path / "second", current="two", two="b")
    environ = {"KUBECONFIG": f"{tmp_path / 'none'}:{first}:{second}"}
    assert opened(environ=environ).host == "https://one.example"
    assert opened(environ=environ, context="two").host == "https://two.example"


def test_a_server_alone_is_enough() -> None:
    assert opened(environ={"KUBECONFIG": "/nowhere"}, server="https://s.example", token=TOKEN).host == "https://s.example"


@pytest.mark.parametrize("server", ["ftp://x", "host:6443", "://x", "https://host:port", "https://a b"])
def test_what_is_no_address_is_told_before_it_is_asked(tmp_path: Path, server: str) -> None:
    """From a file, too."""
    wrong = kubeconfig(tmp_path / "config")
    wrong.write_text(wrong.read_text().replace("https://one.example", server))
    assert failure(wrong) == failure(server=server) == f"{server!r} is no API server address: write it like https://host:6443"


@pytest.mark.parametrize("server", ["https://host:6443", "http://127.0.0.1:8001", "https://[::1]:6443/k8s/clusters/c-1"])
def test_addresses(server: str) -> None:
    assert opened(server=server).host == server


def test_a_file_that_is_named_must_be_there(tmp_path: Path) -> None:
    assert failure(tmp_path / "none") == f"kubeconfig {tmp_path / 'none'}: no such file"


def test_an_unknown_context_lists_the_known(file: Path) -> None:
    assert failure(file, context="three") == f"kubeconfig {file}: there is no context 'three'; there are: one, two"


def test_no_current_context_lists_the_known(tmp_path: Path) -> None:
    file = kubeconfig(tmp_path / "config", current="")
    assert failure(file).endswith("no current-context is set: pass --context; there are: one, two")


def test_an_unknown_cluster_or_user_lists_the_known(file: Path) -> None:
    assert failure(file, cluster="x").endswith("there is no cluster 'x'; there are: one, two")
    assert failure(file, user="x").endswith("there is no user 'x'; there are: me")


def test_nothing_at_all_says_what_to_pass() -> None:
    assert "pass --kubeconfig FILE or --server URL" in failure(environ={"KUBECONFIG": "/nowhere"})


def test_a_pod_without_its_token_says_so() -> None:
    environ = {"KUBECONFIG": "/nowhere", "KUBERNETES_SERVICE_HOST": "10.0.0.1"}
    assert "the pod's service account is unusable" in failure(environ=environ)


@pytest.mark.parametrize(
    ("text", "words"),
    [("a: [", "not YAML (line 1)"), ("", "is empty"), ("[]", "not a kubeconfig"), ("contexts: 7\n", "not a kubeconfig")],
)
def test_a_broken_file_is_named(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "config"
    path.write_text(text)
    assert words in failure(path)


def test_a_missing_certificate_file_is_named(tmp_path: Path) -> None:
    path = kubeconfig(tmp_path / "config", user={"client-certificate": "none.crt", "client-key": "none.key"})
    assert "none.crt" in failure(path)
    assert failure(kubeconfig(path), certificate_authority="none.ca").endswith("--certificate-authority none.ca: no such file")


def test_impersonating_a_group_needs_a_user(file: Path) -> None:
    assert failure(file, as_groups=("system:masters",)).startswith("--as-group needs --as")
    assert "control characters" in failure(file, as_user="me\r\nX-Evil: 1")


def plugin(tmp_path: Path, body: str) -> dict[str, Any]:
    script = tmp_path / "plugin"
    script.write_text(f"#!{sys.executable}\n{body}\n")
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return {"exec": {"command": str(script), "apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never"}}


def test_a_failing_credential_plugin_is_no_anonymous_access(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = kubeconfig(tmp_path / "config", user=plugin(tmp_path, "import sys; sys.exit('log in first')"))
    assert failure(path).endswith("no credentials for user 'me': exec: process returned 1. log in first")
    assert capsys.readouterr().err == ""


def test_a_token_flag_does_without_the_plugin(tmp_path: Path) -> None:
    path = kubeconfig(tmp_path / "config", user=plugin(tmp_path, "raise SystemExit(1)"))
    assert opened(path, token=TOKEN).host == "https://one.example"


def test_options_do_not_show_the_token() -> None:
    assert TOKEN not in repr(ConnectOptions(token=TOKEN)) + str(ConnectOptions(token=TOKEN))


@pytest.mark.parametrize("lost", [{"as-uid": "u-1"}, {"as-user-extra": {"scopes": ["view"]}}])
def test_what_belongs_to_no_impersonated_user_is_refused(tmp_path: Path, lost: dict[str, Any]) -> None:
    file = kubeconfig(tmp_path / "config", user=lost)
    assert "are impersonated together with a user" in failure(file)


def test_an_extra_that_is_no_map_of_lists_is_told(tmp_path: Path) -> None:
    assert "not a kubeconfig" in failure(kubeconfig(tmp_path / "config", user={"as": "jane", "as-user-extra": ["x"]}))
