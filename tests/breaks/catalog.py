"""The breaks: one exact edit of the product each, and the tests of which at least one must fail for it.

An anchor that no longer stands in the source, or stands there twice, is an error: a break cannot rot unseen.
"""

from __future__ import annotations

from tests.breaks.edit import Break as Break
from tests.breaks.rules import (
    answers,
    brake,
    core,
    credentials,
    limits,
    objects,
    openers,
    pods,
    refusals,
    target,
    traffic,
    waits,
)

BREAKS: tuple[Break, ...] = (
    *core.BREAKS,
    *answers.BREAKS,
    *refusals.BREAKS,
    *pods.BREAKS,
    *objects.BREAKS,
    *limits.BREAKS,
    *target.BREAKS,
    *traffic.BREAKS,
    *waits.BREAKS,
    *brake.BREAKS,
    *credentials.BREAKS,
    *openers.BREAKS,
)
