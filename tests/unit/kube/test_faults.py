"""The transport that dies at its n-th write."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import NoReturn

import pytest

from inplace.kube.faults import KILLED, Dying, Moment, is_counted, moment_of
from inplace.kube.protocols import Method, Request, Response
from tests.unit.runtime.fakes import Server

LEASE = "/apis/coordination.k8s.io/v1/namespaces/shop/leases/inplace-deployment-web"
POD = "/api/v1/namespaces/shop/pods/web-1"


class Dead(BaseException):
    """In place of the end of the process."""


def dies() -> NoReturn:
    raise Dead


def write(number: int) -> Request:
    return Request(method="PATCH", path=POD, body=json.dumps({"metadata": {"labels": {"n": str(number)}}}).encode())


@pytest.mark.parametrize(("when", "arrived"), [("before", 1), ("after", 2)])
def test_the_api_server_gets_the_write_only_if_it_dies_after(when: str, arrived: int) -> None:
    server = Server()
    server.put(POD, {"metadata": {"uid": "u"}})
    transport = Dying(server, moment_of(f"{when}:2"), dies)
    transport.call(Request(method="GET", path=POD), 1.0)
    transport.call(write(1), 1.0)
    with pytest.raises(Dead):
        transport.call(write(2), 1.0)
    assert len(server.writes) == arrived


@pytest.mark.parametrize(
    ("method", "path", "body", "counted"),
    [
        ("GET", POD, None, False),
        ("PATCH", POD, {"spec": {}}, True),
        ("PATCH", f"{POD}-reviews", {"spec": {}}, True),
        ("DELETE", LEASE, None, True),
        ("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", {}, False),
        ("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", {}, False),
        ("PATCH", LEASE, {"metadata": {"resourceVersion": "7"}, "spec": {"renewTime": "now"}}, False),
        ("PATCH", LEASE, {"metadata": {"annotations": {}, "resourceVersion": "7"}, "spec": {"renewTime": "now"}}, True),
        ("PATCH", LEASE, {"metadata": {"resourceVersion": "7"}, "spec": {"holderIdentity": None}}, True),
    ],
)
def test_what_counts_as_a_write(method: Method, path: str, body: object, *, counted: bool) -> None:
    sent = json.dumps(body).encode() if body is not None else None
    assert is_counted(Request(method=method, path=path, body=sent)) is counted


def test_a_dry_run_persists_nothing() -> None:
    assert not is_counted(Request(method="PATCH", path=POD, query=(("dryRun", "All"),), body=b"{}"))
    assert not is_counted(Request(method="DELETE", path=POD, body=b'{"dryRun":["All"]}'))
    assert is_counted(Request(method="DELETE", path=POD, query=(("dryRun", "All"),), body=b"{}"))


@pytest.mark.parametrize("text", ["", "7", "before", "before:0", "during:3", "after:-1"])
def test_other_words_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="write it like before:7"):
        moment_of(text)


def test_a_process_ends_as_if_killed() -> None:
    code = """
from inplace.kube.faults import Dying, Moment
from inplace.kube.seam import Request
from tests.unit.runtime.fakes import Server
Dying(Server(), Moment("before", 1)).call(Request(method="DELETE", path="/x"), 1.0)
print("alive")
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=dict(os.environ), check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (KILLED, "", "")


def test_other_writes_are_answered() -> None:
    server = Server()
    server.put(POD, {"metadata": {"uid": "u"}})
    answer = Dying(server, Moment("after", 9), dies).call(write(1), 1.0)
    assert isinstance(answer, Response)
    assert answer.status == 200
