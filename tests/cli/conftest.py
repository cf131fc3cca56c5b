"""Every test of the command has a server, a clock that only moves when slept on, and the command on both."""

import pytest

from tests.cli.fakes import Command, FakeClock, FakeServer


@pytest.fixture
def server() -> FakeServer:
    return FakeServer()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def command(server: FakeServer, clock: FakeClock) -> Command:
    return Command(server, clock)
