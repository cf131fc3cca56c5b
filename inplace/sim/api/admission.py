"""Admission: who may change or refuse a create or an update, dry runs included, before it is checked and stored."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from inplace.sim.objects.errors import Json
from inplace.sim.objects.kinds import Kind

Operation = Literal["CREATE", "UPDATE"]


@dataclass(frozen=True)
class Attributes:
    """What is asked. `manager` None: a part of the cluster asks, such as a controller. `old` None: it is a create."""

    kind: Kind
    subresource: str
    obj: Json
    old: Json | None
    manager: str | None

    @property
    def operation(self) -> Operation:
        return "CREATE" if self.old is None else "UPDATE"

    @property
    def namespace(self) -> str:
        return str(self.obj["metadata"].get("namespace", ""))


Plugin = Callable[[Attributes], Json]
"""Returns the object as it is to be, without touching its argument; raises `Refusal`."""
