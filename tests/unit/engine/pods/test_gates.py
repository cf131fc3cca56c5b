"""The gate of a pod: its state, and which one an upgrade has closed."""

import msgspec
import pytest

from inplace.engine.pods.gates import gate_closed_by_us, gate_state
from inplace.model.objects.pods import PodCondition
from tests.builders import GATE, pod, record

OTHER = "example.com/other"


class TestState:
    @pytest.mark.parametrize(
        ("is_", "state"), [("True", "Open"), ("False", "Closed"), ("Unknown", "Closed"), (None, "Missing")]
    )
    def test_states(self, is_: str | None, state: str) -> None:
        assert gate_state(pod(gate=is_), GATE) == state

    def test_a_condition_without_a_readiness_gate_gates_nothing(self) -> None:
        assert gate_state(pod(gates=()), GATE) == "Absent"


class TestClosedByUs:
    def test_a_record_alone_opens_no_gate_that_we_have_not_closed(self) -> None:
        """Whoever may write annotations must not open another's gate by us."""
        found = pod(gate="False", gates=(GATE, OTHER))
        by_hand = PodCondition(type=OTHER, status="False", reason="ByHand")
        by_us = PodCondition(type=GATE, status="False", reason="Upgrading")
        both = msgspec.structs.replace(found.status, conditions=(by_hand, by_us))
        assert gate_closed_by_us(msgspec.structs.replace(found, status=both), record(gate=OTHER)) == GATE
        assert gate_closed_by_us(msgspec.structs.replace(found, status=both), record()) == GATE
        assert gate_closed_by_us(found, record(gate=GATE)) == ""

    def test_of_two_that_an_upgrade_has_closed_the_record_says_which(self) -> None:
        """An older version has left one closed without a record."""
        found = pod(gates=(GATE, OTHER))
        both = tuple(PodCondition(type=t, status="False", reason="Upgrading") for t in (GATE, OTHER))
        status_ = msgspec.structs.replace(found.status, conditions=both)
        assert gate_closed_by_us(msgspec.structs.replace(found, status=status_), record(gate=OTHER)) == OTHER
