"""Breaks of the rules about what the API server makes of a write."""

from __future__ import annotations

from tests.mutation.edit import Mutant

ENGINE = "inplace/engine"
SCENARIOS = "tests/scenarios/failures/test_admission.py"

MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "believe the answer of a dry run without comparing it",
        "inplace/engine/preflight/rehearsal.py",
        "        if actual_image != image and not (name in requested and accepts(image, actual_image)):",
        "        if False:",
        ("tests/unit/engine/preflight/test_rehearsal.py", SCENARIOS),
    ),
    Mutant(
        "begin without the rehearsal",
        "inplace/runtime/run/resolver.py",
        "        if stored is not None and stored.id == run.id:",
        "        if True:",
        (SCENARIOS,),
    ),
    Mutant(
        "take the answer of an image patch for what was asked",
        "inplace/runtime/run/driver.py",
        "            case PatchImages(images=images) if isinstance(event.result, Pod):",
        "            case PatchImages(images=images) if False:",
        (SCENARIOS,),
    ),
    Mutant(
        "patch a template without trying it first",
        "inplace/runtime/run/executor.py",
        "            if made:",
        "            if False:",
        (SCENARIOS,),
    ),
    Mutant(
        "roll back pods that were never touched",
        "inplace/engine/pods/goals.py",
        "        if record is None and self._is_untouched(facts):",
        "        if False:",
        ("tests/unit/engine/pods/test_goals.py",),
    ),
    Mutant(
        "bring every pod back to the image of the template",
        "inplace/engine/pods/goals.py",
        "        came_from = record.from_images if record is not None else {}",
        "        came_from: dict[str, str] = {}",
        ("tests/unit/engine/pods/test_goals.py",),
    ),
    Mutant(
        "take a mirror's name for the image whatever else it may be",
        "inplace/model/images.py",
        "    return accepts(requested, image) and not any(other != requested and accepts(other, image) for other in others)",
        "    return accepts(requested, image)",
        ("tests/unit/model/test_images.py", "tests/unit/engine/pods/test_goals.py"),
    ),
)
