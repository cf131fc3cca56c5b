"""Fixtures of every test: a server, a clock that moves only when a test sleeps on it, and the command on both."""

import pytest

from tests.builders import run
from tests.cli.fakes import Command, FakeClock, FakeServer, web
from tests.cli.leases import lease


@pytest.fixture
def server() -> FakeServer:
    return FakeServer()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def command(server: FakeServer, clock: FakeClock) -> Command:
    return Command(server, clock)


@pytest.fixture
def held(server: FakeServer) -> FakeServer:
    """A server with deploy/web, whose run host-1 drives."""
    web(server)
    server.put("leases", lease(run(), "host-1", "2026-01-01T12:00:00.000000Z"))
    return server
