"""Candidates that are stopped and woken at any point, over a network that loses and delays in both directions: at no instant
are two of them safe, and once the trouble is over one of them leads."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Generator
from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from inplace.kube.errors import AlreadyExists, ApiError, Conflict, ConnectionFailed, NotFound
from inplace.model.objects.coordination import Lease, LeaseSpec
from inplace.model.objects.meta import ObjectMeta
from inplace.runtime.lease.leader_election import Command, ElectionState, Lost, ReadLease, Wait, WriteLease

TROUBLED_SECONDS = 300.0
QUIET_SECONDS = 60.0
NAMES = {"holderIdentity": "holder_identity", "renewTime": "renew_time", "leaseTransitions": "lease_transitions"}


class Skewed:
    """A process's own monotonic clock: as fast as the others', from another zero."""

    def __init__(self, world: World, zero: float) -> None:
        self._world, self._zero = world, zero

    def monotonic(self) -> float:
        return self._world.now + self._zero

    def utcnow(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC)

    def sleep(self, seconds: float) -> None:
        raise AssertionError

    def jitter(self) -> float:
        raise AssertionError


class World:
    """Events on a heap, one Lease, and candidates that begin again as new processes when they have lost or died."""

    def __init__(self, seed: int, size: int, trouble: float) -> None:
        self.random = random.Random(seed)
        self.now = 0.0
        self.trouble = trouble
        self.lease: Lease | None = None
        self.version = 0
        self._born = 0
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._made = 0
        self.candidates: dict[int, ElectionState] = {}
        for place in range(size):
            self.begin(place)

    def after(self, seconds: float, act: Callable[[], None]) -> None:
        self._made += 1
        heapq.heappush(self._heap, (self.now + seconds, self._made, act))

    def begin(self, place: int) -> None:
        self._born += 1
        election = ElectionState(f"candidate-{self._born}", Skewed(self, self.random.uniform(-1e5, 1e5)))
        self.candidates[place] = election
        self._advance(place, election, self._live(place, election))

    def run(self, until: float) -> None:
        while self._heap and self._heap[0][0] <= until:
            self.now, _, act = heapq.heappop(self._heap)
            act()
            safe = [one.identity for one in self.candidates.values() if one.is_safe]
            assert len(safe) <= 1, f"at {self.now}: {safe}"
        self.now = until

    def _live(self, place: int, election: ElectionState) -> Generator[float]:
        """What `Leader` does, stopped for a while wherever a process can be. Yields how long nothing happens."""
        while True:
            command = election.next_command()
            yield self._pause()
            match command:
                case Wait(seconds):
                    yield seconds
                case Lost():
                    return
                case ReadLease() | WriteLease():
                    yield from self._ask(election, command)
            if self._happens(0.01):
                if self._happens(0.5) and (last := election.release()) is not None:
                    yield from self._send(last, [])
                return

    def _ask(self, election: ElectionState, command: Command) -> Generator[float]:
        answers: list[Lease | ApiError | None] = []
        yield from self._send(command, answers)
        yield self._pause()
        match answers:
            case []:
                election.on_error(ConnectionFailed("no answer"))
            case [ApiError() as error, *_]:
                election.on_error(error)
            case [answer, *_]:
                assert not isinstance(answer, ApiError)
                if isinstance(command, ReadLease):
                    election.on_read(answer)
                elif answer is not None:
                    election.on_written(answer)

    def _send(self, command: Command, answers: list[Any]) -> Generator[float]:
        """Carried out once, never, or after we have given up; the answer may be lost."""
        there = self._delay()
        if not self._happens(0.1):
            box: list[Any] = []
            self.after(there, lambda: box.append(self._perform(command)))
            yield min(3.0, there + 1e-9)
            back = self._delay()
            if box and there + back <= 3.0 and not self._happens(0.1):
                yield back
                answers += box
                return
        yield 3.0

    def _perform(self, command: Command) -> Lease | ApiError | None:
        match command:
            case WriteLease(version="", spec=spec):
                return AlreadyExists("there") if self.lease is not None else self._stored(LeaseSpec(), spec)
            case WriteLease(version=version, spec=spec):
                if self.lease is None:
                    return NotFound("gone")
                if self.lease.metadata.resource_version != version:
                    return Conflict("modified")
                return self._stored(self.lease.spec, spec)
            case _:
                return self.lease

    def _stored(self, before: LeaseSpec, spec: dict[str, Any]) -> Lease:
        self.version += 1
        known = {"holder_identity": before.holder_identity, "lease_transitions": before.lease_transitions}
        fields = {**known, **{NAMES[key]: value for key, value in spec.items() if key in NAMES}}
        self.lease = Lease(ObjectMeta(resource_version=str(self.version)), LeaseSpec(**fields))
        return self.lease

    def _advance(self, place: int, election: ElectionState, life: Generator[float]) -> None:
        """One that ended is gone with its promises: it writes no more."""
        seconds = next(life, None)
        if seconds is not None:
            self.after(seconds, lambda: self._advance(place, election, life))
        else:
            self.candidates.pop(place)
            self.after(self._delay(), lambda: self.begin(place))

    def _happens(self, share: float) -> bool:
        return self.random.random() < share * self.trouble

    def _pause(self) -> float:
        return self.random.choice((0.2, 3.0, 9.9, 10.1, 16.0, 40.0)) if self._happens(0.08) else 0.0

    def _delay(self) -> float:
        return self.random.choice((0.5, 2.9, 8.0, 14.0)) if self._happens(0.15) else 0.004


@given(st.integers(0, 2**32), st.integers(2, 4), st.sampled_from((0.2, 1.0, 2.0)))
def test_no_two_are_safe_at_once_and_one_leads_in_the_end(seed: int, size: int, trouble: float) -> None:
    world = World(seed, size, trouble)
    world.run(TROUBLED_SECONDS)
    world.trouble = 0.0
    world.run(TROUBLED_SECONDS + QUIET_SECONDS + 60)
    assert sum(one.is_safe for one in world.candidates.values()) == 1
