"""Which cluster, as whom: kubeconfig and kubectl's flags into a `Connection`.

The `kubernetes` package reads the files, runs credential plugins and renews tokens; what it gets wrong is put right here (with
several files the *first* current-context counts, as in kubectl). Whatever is missing is a `ConfigError` of one line. Loading
`kubernetes` costs 0.2 s, so that happens inside `connect`. Nothing here is ever shown: options and configurations hold tokens.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote, urlsplit

import msgspec
import yaml

from inplace import __version__
from inplace.kube.connection.transport import KubeTransport, credential_log
from inplace.kube.errors import ConfigError
from inplace.kube.protocols import Transport

if TYPE_CHECKING:
    from kubernetes.client.configuration import Configuration

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
OUR_CONTEXT = "inplace"


class ConnectOptions(msgspec.Struct, frozen=True, kw_only=True):
    """kubectl's flags of the same names; empty means: as the kubeconfig says. `qps` and `burst` are for the `RateLimiter`."""

    kubeconfig: str = ""
    context: str = ""
    cluster: str = ""
    user: str = ""
    server: str = ""
    token: str = ""
    as_user: str = ""
    as_groups: tuple[str, ...] = ()
    namespace: str = ""
    request_timeout_seconds: float = 30.0
    insecure_skip_tls_verify: bool = False
    certificate_authority: str = ""
    qps: float = 20.0
    burst: int = 40

    def __repr__(self) -> str:
        return f"ConnectOptions(context={self.context!r}, namespace={self.namespace!r}, ...)"


def check_server(url: str) -> str:
    """Raises ValueError with a line for a person."""
    with suppress(ValueError):
        parts = urlsplit(url)
        if parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and url.isprintable() and " " not in url:
            return url
    raise ValueError(f"{url!r} is no API server address: write it like https://host:6443")


class Connection(msgspec.Struct, frozen=True, kw_only=True):
    """`namespace` is the one to use where the user names none; `host` is the server's URL, for people."""

    transport: Transport
    namespace: str
    host: str


class _Impersonated(msgspec.Struct, frozen=True):
    """Whom requests are sent as. `extra`: what an authorizer may look at besides, such as scopes that narrow the rights."""

    user: str = ""
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: tuple[tuple[str, str], ...] = ()
    """Key and value; a key may come more than once."""


class _Loaded(msgspec.Struct, frozen=True):
    configuration: Configuration
    namespace: str
    impersonated: _Impersonated = _Impersonated()


def connect(
    options: ConnectOptions, *, environ: Mapping[str, str] = os.environ, connection_pool_maxsize: int = 32
) -> Connection:
    """Sends nothing yet. Raises `ConfigError`."""
    loaded = _load(options, environ)
    headers = _headers(_flagged(loaded.impersonated, options))
    first = [loaded.configuration]

    def load() -> Configuration:
        return first.pop() if first else _load(options, environ).configuration

    transport = KubeTransport(load, headers=headers, connection_pool_maxsize=connection_pool_maxsize)
    return Connection(transport=transport, namespace=options.namespace or loaded.namespace, host=transport.host)


def _flagged(loaded: _Impersonated, options: ConnectOptions) -> _Impersonated:
    """The flags go field by field before the kubeconfig, as in kubectl: whoever says `--as` keeps the rest of the file's."""
    user, groups = options.as_user or loaded.user, options.as_groups or loaded.groups
    return msgspec.structs.replace(loaded, user=user, groups=groups)


def _headers(who: _Impersonated) -> list[tuple[str, str]]:
    if not who.user and who.groups:
        raise ConfigError("--as-group needs --as: a group is impersonated together with a user")
    if not who.user and (who.uid or who.extra):
        raise ConfigError("as-uid and as-user-extra of a kubeconfig need `as`: they are impersonated together with a user")
    headers = [("User-Agent", f"inplace/{__version__}")]
    headers += [(name, value) for name, value in (("Impersonate-User", who.user), ("Impersonate-Uid", who.uid)) if value]
    headers += [("Impersonate-Group", group) for group in who.groups]
    headers += [(f"Impersonate-Extra-{quote(key, safe=_TOKEN)}", value) for key, value in who.extra]
    if any(not text.isprintable() for _, text in headers):
        raise ConfigError("who is impersonated (--as, --as-group, the kubeconfig's as-...) has no control characters")
    return headers


_TOKEN = "!#$&'*+^`|"
"""What a header's name may hold besides letters, digits and `_.-~`; the rest is percent-encoded, as client-go does it."""


def _impersonated(user: Mapping[str, Any]) -> _Impersonated:
    extra = ((key, value) for key, values in (user.get("as-user-extra") or {}).items() for value in values or ())
    return _Impersonated(user.get("as") or "", user.get("as-uid") or "", tuple(user.get("as-groups") or ()), tuple(extra))


def _load(options: ConnectOptions, environ: Mapping[str, str]) -> _Loaded:
    paths = _paths(options, environ)
    if paths:
        loaded = _from_files(paths, options)
    elif options.server:
        loaded = _Loaded(_new_configuration(), "default")
    elif "KUBERNETES_SERVICE_HOST" in environ and not options.context:
        loaded = _in_cluster()
    else:
        raise ConfigError(
            "no cluster is configured: there is no kubeconfig (~/.kube/config, KUBECONFIG), and this is no pod; "
            "pass --kubeconfig FILE or --server URL"
        )
    _apply_flags(loaded.configuration, options)
    try:
        check_server(loaded.configuration.host)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    return loaded


def _paths(options: ConnectOptions, environ: Mapping[str, str]) -> list[Path]:
    """A file named by the flag must be there; of KUBECONFIG's list, and by default, those that are count."""
    if options.kubeconfig:
        path = Path(options.kubeconfig).expanduser()
        if not path.is_file():
            raise ConfigError(f"kubeconfig {path}: no such file")
        return [path]
    listed = environ.get("KUBECONFIG", "")
    names = listed.split(os.pathsep) if listed else ["~/.kube/config"]
    return [path for name in names if name and (path := Path(name).expanduser()).is_file()]


def _new_configuration() -> Configuration:
    from kubernetes.client.configuration import Configuration

    return Configuration()


def _in_cluster() -> _Loaded:
    from kubernetes.config import ConfigException, incluster_config

    configuration = _new_configuration()
    try:
        cast(Any, incluster_config).load_incluster_config(configuration)
    except (ConfigException, OSError) as error:
        raise ConfigError(
            f"no cluster is configured: no kubeconfig, and the pod's service account is unusable: {error}"
        ) from None
    namespace = SERVICE_ACCOUNT / "namespace"
    return _Loaded(configuration, namespace.read_text().strip() if namespace.is_file() else "default")


def _from_files(paths: list[Path], options: ConnectOptions) -> _Loaded:
    from kubernetes.config import kube_config

    library = cast(Any, kube_config)
    label = "kubeconfig " + os.pathsep.join(str(path) for path in paths)
    with _one_line(label), credential_log() as complaints:
        merger = library.KubeConfigMerger(os.pathsep.join(str(path) for path in paths))
        merged = merger.config.value
        context = _context(merged, merger.config_files, options, label)
        merged["contexts"].append({"name": OUR_CONTEXT, "context": context})
        user = _named(merged["users"], context.get("user", "")) or {}
        configuration = _new_configuration()
        loader = library.KubeConfigLoader(
            merger.config, active_context=OUR_CONTEXT, config_base_path=None, config_persister=merger.save_changes
        )
        loader.load_and_set(configuration)
    if complaints:
        raise ConfigError(f"{label}: no credentials for user {context.get('user')!r}: {complaints[-1]}")
    with _one_line(label):
        return _Loaded(configuration, context.get("namespace") or "default", _impersonated(user))


def _context(merged: dict[str, Any], files: dict[str, Any], options: ConnectOptions, label: str) -> dict[str, Any]:
    """The chosen context, with what the flags replace. A token given by flag leaves the user's own credentials alone."""
    current = next((name for file in files.values() if (name := file.get("current-context"))), "")
    wanted = options.context or current
    if wanted:
        found = _named(merged["contexts"], wanted)
        if found is None:
            raise ConfigError(f"{label}: there is no context {wanted!r}; {_known(merged['contexts'])}")
        context = dict(found)
    elif options.cluster or options.server:
        context = {}
    else:
        raise ConfigError(f"{label}: no current-context is set: pass --context; {_known(merged['contexts'])}")
    if options.cluster:
        context["cluster"] = options.cluster
    if options.user:
        context["user"] = options.user
    if options.token:
        context.pop("user", None)
    for key, kind in (("cluster", "clusters"), ("user", "users")):
        if (name := context.get(key)) and _named(merged[kind], name) is None:
            raise ConfigError(f"{label}: there is no {key} {name!r}; {_known(merged[kind])}")
    if "cluster" not in context:
        if not options.server:
            raise ConfigError(f"{label}: context {wanted!r} names no cluster: pass --cluster")
        merged["clusters"].append({"name": OUR_CONTEXT, "cluster": {"server": options.server}})
        context["cluster"] = OUR_CONTEXT
    return context


def _apply_flags(configuration: Configuration, options: ConnectOptions) -> None:
    if options.server:
        configuration.host = options.server.rstrip("/")
    if options.token:
        configuration.api_key = {"BearerToken": f"Bearer {options.token}"}
        configuration.refresh_api_key_hook = None
    if options.certificate_authority:
        if not Path(options.certificate_authority).is_file():
            raise ConfigError(f"--certificate-authority {options.certificate_authority}: no such file")
        configuration.ssl_ca_cert = options.certificate_authority
    if options.insecure_skip_tls_verify:
        configuration.verify_ssl = False


def context_names(kubeconfig: str | None = None, *, environ: Mapping[str, str] = os.environ) -> list[str]:
    """The contexts of the kubeconfig that would be used, as far as its files can be read. Raises `ConfigError`."""
    names: list[str] = []
    for path in _paths(ConnectOptions(kubeconfig=kubeconfig or ""), environ):
        with _one_line(f"kubeconfig {path}"):
            names += [str(entry["name"]) for entry in yaml.safe_load(path.read_text())["contexts"]]
    return names


def _entries(items: list[Any]) -> Iterator[Mapping[str, Any]]:
    """The merger wraps each entry in a node of its own."""
    return (getattr(item, "value", item) for item in items)


def _named(items: list[Any], name: str) -> dict[str, Any] | None:
    """The body of the entry: an entry is its name and one more key."""
    for entry in _entries(items):
        if entry["name"] == name:
            return next((body or {} for key, body in entry.items() if key != "name"), {})
    return None


def _known(items: list[Any]) -> str:
    names = sorted(str(entry["name"]) for entry in _entries(items))
    return f"there are: {', '.join(names)}" if names else "there is none"


@contextmanager
def _one_line(label: str) -> Iterator[None]:
    from kubernetes.config import ConfigException

    try:
        yield
    except ConfigError:
        raise
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" (line {mark.line + 1})" if mark else ""
        raise ConfigError(f"{label}: not YAML{where}") from None
    except (ConfigException, OSError, ValueError) as error:
        raise ConfigError(f"{label}: {' '.join(str(error).split())}") from None
    except (AttributeError, KeyError, TypeError):
        raise ConfigError(f"{label}: not a kubeconfig: clusters, users and contexts are lists of named entries") from None
    except Exception as error:  # an identity provider's, whose text may quote a secret
        raise ConfigError(f"{label}: the credentials cannot be renewed: {type(error).__name__}") from None
