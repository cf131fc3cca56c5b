"""The mutants: one exact edit of the product each, and the tests of which at least one must fail for it.

An anchor that no longer stands in the source, or stands there twice, is an error: a mutant cannot rot unseen.
"""

from __future__ import annotations

from tests.mutation.edit import Mutant as Mutant
from tests.mutation.rules import (
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

MUTANTS: tuple[Mutant, ...] = (
    *core.MUTANTS,
    *answers.MUTANTS,
    *refusals.MUTANTS,
    *pods.MUTANTS,
    *objects.MUTANTS,
    *limits.MUTANTS,
    *target.MUTANTS,
    *traffic.MUTANTS,
    *waits.MUTANTS,
    *brake.MUTANTS,
    *credentials.MUTANTS,
    *openers.MUTANTS,
)
