"""Refusals of the API server, with the texts and the `Status` bodies of a real 1.36."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

MODIFIED = "the object has been modified; please apply your changes to the latest version and try again"


class StatusError(Exception):
    """The answer is this `Status`."""

    def __init__(self, code: int, reason: str, message: str, details: Json | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details

    def status(self) -> Json:
        body: Json = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": self.message}
        if self.reason:
            body["reason"] = self.reason
        if self.details is not None:
            body["details"] = self.details
        return {**body, "code": self.code}


def details(plural: str, group: str, name: str, **more: Any) -> Json:
    found = {"name": name, **({"group": group} if group else {}), "kind": plural, **more}
    return {key: value for key, value in found.items() if value != ""}


def qualified(plural: str, group: str) -> str:
    return f"{plural}.{group}" if group else plural


def not_found(plural: str, group: str, name: str) -> StatusError:
    return StatusError(404, "NotFound", f'{qualified(plural, group)} "{name}" not found', details(plural, group, name))


def already_exists(plural: str, group: str, name: str) -> StatusError:
    message = f'{qualified(plural, group)} "{name}" already exists'
    return StatusError(409, "AlreadyExists", message, details(plural, group, name))


def conflict(plural: str, group: str, name: str, why: str = MODIFIED) -> StatusError:
    message = f'Operation cannot be fulfilled on {qualified(plural, group)} "{name}": {why}'
    return StatusError(409, "Conflict", message, details(plural, group, name))


def invalid(kind: str, group: str, name: str, *causes: tuple[str, str, str]) -> StatusError:
    """`causes`: field, reason such as FieldValueInvalid, message."""
    texts = [f"{field}: {message}" for field, _, message in dict.fromkeys(causes)]
    text = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
    listed = [{"reason": reason, "message": message, "field": field} for field, reason, message in causes]
    message = f'{qualified(kind, group)} "{name}" is invalid: {text}'
    return StatusError(422, "Invalid", message, details(kind, group, name, causes=listed))


def forbidden(plural: str, group: str, name: str, why: str) -> StatusError:
    message = f'{qualified(plural, group)} "{name}" is forbidden: {why}'
    return StatusError(403, "Forbidden", message, details(plural, group, name))


def bad_request(message: str) -> StatusError:
    return StatusError(400, "BadRequest", message)


def unprocessable() -> StatusError:
    """What a JSON Patch that cannot be applied gives, a failed `test` too."""
    return StatusError(422, "Invalid", "the server rejected our request due to an error in our request", {})


def expired(version: int, oldest: int) -> StatusError:
    return StatusError(410, "Expired", f"too old resource version: {version} ({oldest})")


def unknown_path() -> StatusError:
    return StatusError(404, "NotFound", "the server could not find the requested resource", {})


def wrong_method() -> StatusError:
    return StatusError(405, "MethodNotAllowed", "the server does not allow this method on the requested resource", {})


def unsupported_media(*accepted: str) -> StatusError:
    if not accepted:
        return StatusError(415, "UnsupportedMediaType", "415: Unsupported Media Type", {})
    text = f"the body of the request was in an unknown format - accepted media types include: {', '.join(accepted)}"
    return StatusError(415, "UnsupportedMediaType", text, {})


def success(kind: str, name: str, uid: str, group: str = "") -> Json:
    found = details(kind, group, name, uid=uid)
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": found}
