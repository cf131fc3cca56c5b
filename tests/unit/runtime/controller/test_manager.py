"""A controller process as it is put together: what leads may write, and the rest only while that leads."""

import pytest

from inplace.kube.api import ApiClient
from inplace.kube.errors import ConnectionFailed
from inplace.kube.protocols import MERGE
from inplace.kube.resources import PODS
from inplace.runtime.controller.manager import build_manager
from inplace.runtime.lease.leader_election import LeaderElector
from inplace.runtime.settings import Settings
from tests.unit.kube.fakes import FakeClock, FakeTransport, ok


def test_nothing_but_the_election_writes_before_it_leads() -> None:
    transport, clock = FakeTransport(), FakeClock()
    api = ApiClient(transport=transport, clock=clock)
    manager = build_manager(api, "https://host", "me", Settings(listen="", namespaces=("shop",)), ("shop",), "shop")
    with pytest.raises(ConnectionFailed, match="not sent"):
        manager.controller.api.patch(PODS, "shop", "web-0", {}, MERGE)
    assert transport.requests == []
    leader = manager.leader_elector
    assert isinstance(leader, LeaderElector)
    lease = {"metadata": {"name": "inplace-controller", "namespace": "shop", "uid": "u", "resourceVersion": "1"}, "spec": {}}
    transport.script = [ok(lease), ok({**lease, "spec": {"holderIdentity": "me"}}), ok({"metadata": {"name": "web-0"}})]
    leader.step()  # it looks
    leader.step()  # and takes it
    manager.controller.api.patch(PODS, "shop", "web-0", {}, MERGE)
    assert [r.method for r in transport.requests] == ["GET", "PATCH", "PATCH"]
