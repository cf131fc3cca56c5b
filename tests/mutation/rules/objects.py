"""Objects are hostile until read, and what is stored where others may write is input."""

from __future__ import annotations

from tests.mutation.edit import Mutant

ENGINE = "inplace/engine"

MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "catch DecodeError only",
        "inplace/model/objects/meta.py",
        "CANNOT_BE_READ = (ValueError, RecursionError)",
        "CANNOT_BE_READ = (msgspec.DecodeError,)",
        ("tests/unit/model/test_record.py",),
    ),
    Mutant(
        "follow what nests as deep as it does",
        "inplace/kube/codec.py",
        "        return decoder.decode(shallow(bytes(raw)))",
        "        raise",
        ("tests/unit/kube/test_hostile_objects.py",),
    ),
    Mutant(
        "one bad item fails the list",
        "inplace/kube/codec.py",
        "        listed = _decode_one_by_one(body, wanted)",
        "        raise MalformedResponse('a list cannot be read') from None",
        ("tests/unit/kube/test_hostile_objects.py",),
    ),
    Mutant(
        "take what cannot be read for gone",
        "inplace/kube/informers/cache.py",
        " | {lost.metadata.uid for lost in listing.unreadable}",
        "",
        ("tests/unit/kube/test_hostile_objects.py",),
    ),
    Mutant(
        "drain a pod though a slice cannot be read",
        "inplace/engine/pods/stages.py",
        "    if policy.unreadable_reason:",
        "    if False:",
        ("tests/unit/engine/planning/test_unreadable_objects.py",),
    ),
    Mutant(
        "trust the stored commit",
        "inplace/engine/kinds/image_provenance.py",
        "    commit = stored.commit if is_begun else None",
        "    commit = stored.commit",
        ("tests/scenarios/failures/test_forged_runs.py",),
    ),
    Mutant(
        "repair drives the stored run",
        "inplace/runtime/foreground/session.py",
        "        options = DriverOptions(only_frees=True, dead_leases=dead_leases)",
        "        options = DriverOptions(dead_leases=dead_leases)",
        ("tests/scenarios/failures/test_forged_runs.py",),
    ),
    Mutant(
        "take up what only the Lease knows",
        "inplace/runtime/run/resolver.py",
        "        stored = self.trusted_run(stored, requested)\n",
        "",
        ("tests/scenarios/failures/test_forged_runs.py",),
    ),
    Mutant(
        "do not compare the Lease's name and namespace with the run's target",
        "inplace/runtime/lease/lock.py",
        "lease_mismatch(run, lease.metadata) or run_problem(run)",
        "run_problem(run)",
        ("tests/scenarios/failures/test_forged_runs.py",),
    ),
)
