"""From a request to an answer, without HTTP: paths, query parameters, content types and subresources of the REST API.

The HTTP server and in-process clients both end here, so what tests see in-process is what kubectl sees on the wire.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import msgspec
import yaml

from inplace.sim.api import subresources
from inplace.sim.api.discovery import discovered
from inplace.sim.api.protobuf import from_protobuf, is_protobuf
from inplace.sim.api.registry import BINDING, Registry, WriteOptions
from inplace.sim.api.table_printer import is_table_wanted, scale_table, table, table_line
from inplace.sim.api.users import CALLER, User
from inplace.sim.api.watching import Line, Lister, ListSelector, Sink, Watch, plain_line
from inplace.sim.objects import errors, kinds
from inplace.sim.objects.deep import set_aside
from inplace.sim.objects.errors import Json, StatusError
from inplace.sim.objects.kinds import Kind, Kinds
from inplace.sim.objects.patches import PatchFailed, json_patch, merge_patch, strategic_merge
from inplace.sim.objects.store import StoredObject, encode

Review = Callable[[Json], bool]
PATCHES_OF_CUSTOM = ("application/json-patch+json", "application/merge-patch+json", "application/apply-patch+yaml")


@dataclass(frozen=True)
class ApiRequest:
    """One request. `path` is percent-encoded still; headers in lower case."""

    method: str
    path: str
    query: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    content_type: str = "application/json"
    accept: str = ""
    agent: str = ""
    user: User = CALLER

    @property
    def manager(self) -> str:
        return self.query.get("fieldManager") or self.agent.partition("/")[0] or "unknown"


@dataclass(frozen=True)
class ApiResponse:
    status: int
    body: bytes
    content_type: str = "application/json"


@dataclass(frozen=True)
class WatchAnswer:
    """Call `start` with where the lines shall go; close the watch when the client is gone."""

    start: Callable[[Sink], Watch]


@dataclass(frozen=True)
class Target:
    kind: Kind
    namespace: str | None
    name: str
    subresource: str


class Server:
    """Not thread-safe. `is_allowed` answers access reviews, given the `resourceAttributes`."""

    def __init__(self, registry: Registry, is_allowed: Review = lambda _attributes: True) -> None:
        self.registry = registry
        self.is_allowed = is_allowed
        self._lister = Lister(registry.store)

    def handle(self, call: ApiRequest) -> ApiResponse | WatchAnswer:
        try:
            found = discovered(call.path, call.accept, self.registry.store.kinds.served)
            if found is not None:
                return ApiResponse(200, found[0], found[1])
            return self._handle(call, target_of(call.path, self.registry.store.kinds))
        except StatusError as error:
            return ApiResponse(error.code, encode(error.status()))

    def _handle(self, call: ApiRequest, target: Target) -> ApiResponse | WatchAnswer:
        if call.method != "DELETE":
            check_dry_run("CreateOptions", [call.query["dryRun"]] if call.query.get("dryRun") else [])
        if target.kind is kinds.REVIEWS:
            return self._review(call)
        if target.kind is kinds.WHOAMI:
            return self._whoami(call)
        if target.kind is kinds.NEW_EVENTS:
            return self._new_events(call, target)
        match call.method, bool(target.name):
            case "GET", False:
                return self._list_or_watch(call, target)
            case "GET", True:
                return self._get(call, target)
            case "POST", False:
                return self._create(call, target)
            case "POST", True:
                return self._post_subresource(call, target)
            case "PUT", True:
                return self._put(call, target)
            case "PATCH", True:
                return self._patch(call, target)
            case "DELETE", True:
                return self._delete(call, target)
            case "DELETE", False:
                return self._delete_all(call, target)
        raise errors.wrong_method()

    def _get(self, call: ApiRequest, target: Target) -> ApiResponse:
        item = self.registry.get(target.kind, target.namespace or "", target.name)
        if target.subresource == "scale":
            scale = subresources.scale_of(item.obj)
            if is_table_wanted(call.accept):
                return ApiResponse(200, encode(scale_table(scale, self.registry.scheduler.utcnow(), call.query)))
            return ApiResponse(200, encode(scale))
        if target.subresource not in ("", "status"):
            raise errors.unknown_path()
        return self._shown(call, 200, item)

    def _list_or_watch(self, call: ApiRequest, target: Target) -> ApiResponse | WatchAnswer:
        query, kind = call.query, target.kind
        chosen = ListSelector(kind, target.namespace, query.get("labelSelector", ""), query.get("fieldSelector", ""))
        chosen.test()
        version = query.get("resourceVersion", "")
        if version and not version.isdecimal():
            text = f'resourceVersion: Invalid value: "{version}": strconv.ParseUint: parsing "{version}": invalid syntax'
            raise errors.bad_request(f"invalid resource version: {text}")
        if query.get("watch") in ("1", "true"):
            return self._watch(call, chosen, int(version or 0))
        current = self.registry.store.version
        if version and int(version) > current:
            causes = [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]
            text = f"Timeout: Too large resource version: {version}, current: {current}"
            raise StatusError(504, "Timeout", text, {"causes": causes, "retryAfterSeconds": 1})
        page = self._lister.page(chosen, int(query.get("limit") or 0), query.get("continue", ""))
        meta: Json = {"resourceVersion": str(page.version)}
        if page.token:
            meta |= {"continue": page.token, "remainingItemCount": page.remaining}
        if is_table_wanted(call.accept):
            return ApiResponse(200, encode(table(kind, page.items, self.registry.scheduler.utcnow(), meta, call.query)))
        head = encode({"kind": f"{kind.kind}List", "apiVersion": kind.api_version, "metadata": meta})
        return ApiResponse(200, head[:-1] + b',"items":[' + b",".join(item.encoded for item in page.items) + b"]}")

    def _watch(self, call: ApiRequest, chosen: ListSelector, version: int) -> WatchAnswer:
        query, registry = call.query, self.registry
        wants_all = version == 0 or query.get("sendInitialEvents") == "true"
        timeout = float(query["timeoutSeconds"]) if query.get("timeoutSeconds") else None
        bookmarks = query.get("allowWatchBookmarks") in ("1", "true")

        def start(sink: Sink) -> Watch:
            line: Line = plain_line
            if is_table_wanted(call.accept):
                line = table_line(chosen.kind, registry.scheduler.utcnow, call.query)
            watch = Watch(registry.store, registry.scheduler, chosen, sink, line)
            watch.start(None if wants_all else version, bookmarks, timeout)
            return watch

        return WatchAnswer(start)

    def _create(self, call: ApiRequest, target: Target) -> ApiResponse:
        obj = self._object(call, target.kind)
        if target.kind is kinds.EVENTS:
            obj = subresources.old_event(obj)
        item = self.registry.create(target.kind, target.namespace or "", obj, self._how(call, target))
        return self._shown(call, 201, item)

    def _post_subresource(self, call: ApiRequest, target: Target) -> ApiResponse:
        item = self.registry.get(target.kind, target.namespace or "", target.name)
        if target.kind is kinds.PODS and target.subresource == "binding":
            node = decoded(call)["target"]["name"]
            self.registry.change(item, lambda obj: subresources.bound(obj, node, self.registry.scheduler.stamp()), BINDING)
            return ApiResponse(201, encode(errors.success("pods", target.name, item.uid)))
        if target.kind is kinds.PODS and target.subresource == "eviction":
            budgets = [b.obj for b in self.registry.store.all(kinds.POD_DISRUPTION_BUDGETS, target.namespace)]
            subresources.check_eviction(item.obj, budgets)
            options = decoded(call).get("deleteOptions") or {}
            self.registry.delete(item, options, bool(call.query.get("dryRun") or options.get("dryRun")))
            return ApiResponse(
                201, encode({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201})
            )
        raise errors.unknown_path()

    def _put(self, call: ApiRequest, target: Target) -> ApiResponse:
        item = self.registry.get(target.kind, target.namespace or "", target.name)
        obj = decoded(call) if target.subresource in ("scale", "finalize") else self._object(call, target.kind)
        if target.subresource == "scale":
            return self._scaled(call, item, obj)
        if target.subresource == "finalize":
            return self._shown(call, 200, item)
        return self._shown(call, 200, self.registry.update(item, obj, self._how(call, target, is_put=True)))

    def _patch(self, call: ApiRequest, target: Target) -> ApiResponse:
        body = decoded(call)
        if call.content_type.startswith("application/apply-patch"):
            return self._apply(call, target, body)
        item = self.registry.get(target.kind, target.namespace or "", target.name)
        if target.subresource == "scale":
            return self._scaled(call, item, patched(call.content_type, subresources.scale_of(item.obj), body))
        if target.kind.custom is not None and call.content_type.startswith("application/strategic-merge"):
            raise errors.unsupported_media(*PATCHES_OF_CUSTOM)
        made = patched(call.content_type, item.obj, body)
        return self._shown(call, 200, self.registry.update(item, made, self._how(call, target)))

    def _apply(self, call: ApiRequest, target: Target, body: Json) -> ApiResponse:
        if not call.query.get("fieldManager"):
            cause = ("fieldManager", "FieldValueRequired", "Required value: is required for apply patch")
            raise errors.invalid("PatchOptions", "meta.k8s.io", "", cause)
        how, force = self._how(call, target), call.query.get("force") == "true"
        item, created = self.registry.apply(target.kind, target.namespace or "", target.name, body, how, force)
        return self._shown(call, 201 if created else 200, item)

    def _scaled(self, call: ApiRequest, item: StoredObject, scale: Json) -> ApiResponse:
        version = (scale.get("metadata") or {}).get("resourceVersion") or item.meta["resourceVersion"]
        wanted = {**item.obj, "spec": {**item.obj["spec"], "replicas": int((scale.get("spec") or {}).get("replicas", 0))}}
        wanted["metadata"] = {**item.meta, "resourceVersion": version}
        how = WriteOptions(call.manager, bool(call.query.get("dryRun")), via="scale")
        made = self.registry.update(item, wanted, how)
        return ApiResponse(200, encode(subresources.scale_of(made.obj)))

    def _delete(self, call: ApiRequest, target: Target) -> ApiResponse:
        if target.subresource:
            raise errors.wrong_method()
        kind = target.kind
        item = self.registry.get(kind, target.namespace or "", target.name)
        options = delete_options(call)
        last, is_gone = self.registry.delete(item, options, bool(options.get("dryRun")))
        if is_gone and kind is not kinds.PODS:
            return ApiResponse(200, encode(errors.success(kind.plural, last.name, last.uid, kind.group)))
        return self._shown(call, 200, last)

    def _delete_all(self, call: ApiRequest, target: Target) -> ApiResponse:
        query = call.query
        chosen = ListSelector(target.kind, target.namespace, query.get("labelSelector", ""), query.get("fieldSelector", ""))
        test, options = chosen.test(), delete_options(call)
        items = [item for item in self.registry.store.ordered(target.kind, target.namespace) if test(item)]
        for item in items:
            self.registry.delete(item, options, bool(options.get("dryRun")))
        return ApiResponse(
            200, encode({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 200})
        )

    def _review(self, call: ApiRequest) -> ApiResponse:
        review = decoded(call)
        attributes = (review.get("spec") or {}).get("resourceAttributes") or {}
        return ApiResponse(201, encode({**review, "status": {"allowed": self.is_allowed(attributes)}}))

    def _whoami(self, call: ApiRequest) -> ApiResponse:
        if call.method != "POST":
            raise errors.wrong_method()
        review: Json = {"kind": "SelfSubjectReview", "apiVersion": "authentication.k8s.io/v1"}
        meta = {"creationTimestamp": self.registry.scheduler.stamp()}
        return ApiResponse(201, encode({**review, "metadata": meta, "status": {"userInfo": call.user.info()}}))

    def _new_events(self, call: ApiRequest, target: Target) -> ApiResponse | WatchAnswer:
        """The same objects as core/v1 Events, written the new way; written here, they are stored the old way."""
        if call.method == "POST":
            item = self.registry.create(kinds.EVENTS, target.namespace or "", subresources.old_event(decoded(call)))
            return ApiResponse(201, encode(subresources.new_event(item.obj)))
        query = {
            key: v.replace("regarding.", "involvedObject.") if key == "fieldSelector" else v for key, v in call.query.items()
        }
        is_merge = call.method == "PATCH" and call.content_type.partition(";")[0].endswith("merge-patch+json")
        body = encode(subresources.old_event(decoded(call))) if is_merge else call.body
        old = ApiRequest(call.method, call.path, query, body, call.content_type, call.accept, call.agent, call.user)
        answer = self._handle(old, Target(kinds.EVENTS, target.namespace, target.name, ""))
        if isinstance(answer, WatchAnswer) or call.method not in ("GET", "PATCH") or is_table_wanted(call.accept):
            return answer
        found = msgspec.json.decode(answer.body)
        if not target.name:
            items = [subresources.new_event(obj) for obj in found["items"]]
            return ApiResponse(200, encode({**found, "apiVersion": "events.k8s.io/v1", "items": items}))
        return ApiResponse(200, encode(subresources.new_event(found)))

    def _how(self, call: ApiRequest, target: Target, *, is_put: bool = False) -> WriteOptions:
        if target.subresource not in ("", "status") or (target.subresource and not target.kind.has_status):
            raise errors.unknown_path()
        return WriteOptions(call.manager, bool(call.query.get("dryRun")), target.subresource, is_put)

    def _object(self, call: ApiRequest, kind: Kind) -> Json:
        obj: Json = decoded(call)
        given = (obj.get("apiVersion") or kind.api_version, obj.get("kind") or kind.kind)
        if given != (kind.api_version, kind.kind):
            named = self.registry.store.kinds.called(*given)
            text = f"converting (v1.{given[1]}) to ({kind.kind}): unknown conversion" if named else "no kind is registered"
            raise errors.bad_request(f'{given[1]} in version "{given[0]}" cannot be handled as a {kind.kind}: {text}')
        return obj

    def _shown(self, call: ApiRequest, status: int, item: StoredObject) -> ApiResponse:
        if is_table_wanted(call.accept):
            meta = {"resourceVersion": item.meta.get("resourceVersion", "")}
            return ApiResponse(status, encode(table(item.kind, [item], self.registry.scheduler.utcnow(), meta, call.query)))
        return ApiResponse(status, item.encoded)


def target_of(path: str, kinds: Kinds) -> Target:
    """Raises `Refusal` where nothing is served there."""
    parts = [unquote(part) for part in path.strip("/").split("/")]
    if parts[0] == "api" and len(parts) > 2:
        group, version, rest = "", parts[1], parts[2:]
    elif parts[0] == "apis" and len(parts) > 3:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        raise errors.unknown_path()
    namespace = None
    if rest[0] == "namespaces" and len(rest) > 2 and rest[2] not in ("status", "finalize"):
        namespace, rest = rest[1], rest[2:]
    kind = kinds.at_path(group, version, rest[0])
    if kind is None or (namespace is not None and not kind.is_namespaced) or len(rest) > 3:
        raise errors.unknown_path()
    name, subresource = (rest[1] if len(rest) > 1 else ""), (rest[2] if len(rest) > 2 else "")
    if name and namespace is None and kind.is_namespaced:
        raise errors.unknown_path()
    return Target(kind, namespace, name, subresource)


def decoded(call: ApiRequest) -> Any:
    """The body as JSON, from JSON or YAML. Raises `Refusal`."""
    if not call.body:
        return {}
    if is_protobuf(call.body):
        return from_protobuf(call.body)
    try:
        if "yaml" in call.content_type:
            return yaml.safe_load(call.body)
        return _followed(call.body)
    except (ValueError, yaml.YAMLError) as error:
        raise errors.bad_request(f"error decoding body: {error}") from None


def delete_options(call: ApiRequest) -> Json:
    """From the body if there is one, and then from nowhere else; otherwise from the query, as the real one does (measured)."""
    query = call.query
    options: Json = decoded(call) if call.body else {key: query[key] for key in ("propagationPolicy",) if key in query}
    if not call.body and "gracePeriodSeconds" in query:
        options["gracePeriodSeconds"] = int(query["gracePeriodSeconds"])
    if not call.body and query.get("dryRun"):
        options["dryRun"] = [query["dryRun"]]
    check_dry_run("DeleteOptions", options.get("dryRun") or [])
    return options


def check_dry_run(kind: str, values: list[str]) -> None:
    if values not in ([], ["All"]):
        text = f'Unsupported value: {encode(values).decode()}: supported values: "All"'
        raise errors.invalid(kind, "meta.k8s.io", "", ("dryRun", "FieldValueNotSupported", text))


def _followed(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except RecursionError:
        return msgspec.json.decode(set_aside(body))


def patched(content_type: str, original: Json, patch: Any) -> Json:
    """Raises `Refusal`."""
    kind = content_type.partition(";")[0].strip()
    if kind == "application/json-patch+json":
        try:
            return json_patch(original, patch)
        except PatchFailed:
            raise errors.unprocessable() from None
    if kind not in ("application/merge-patch+json", "application/strategic-merge-patch+json"):
        raise errors.unsupported_media()
    if not isinstance(patch, dict):
        raise errors.bad_request("json: cannot unmarshal array into Go value of type map[string]interface {}")
    made = merge_patch(original, patch) if kind.startswith("application/merge") else strategic_merge(original, patch)
    result: Json = made
    return result


def allowing_all_but(denied: Iterable[tuple[str, str]]) -> Review:
    """A review that refuses these (verb, resource), `pods/status` for a subresource."""
    refused = frozenset(denied)

    def is_allowed(attributes: Json) -> bool:
        resource, subresource = attributes.get("resource", ""), attributes.get("subresource", "")
        return (attributes.get("verb", ""), f"{resource}/{subresource}" if subresource else resource) not in refused

    return is_allowed
