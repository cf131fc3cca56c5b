"""The last runs, kept beside the run."""

from inplace.model.history import MAX_ANNOTATION_BYTES, MAX_RUNS, MAX_TEXT_LENGTH, append_history, decode_history, to_past_run
from tests.builders import NEW, OLD, run


def test_history_has_an_entry_for_each_run_newest_last() -> None:
    text = None
    for number in range(MAX_RUNS + 3):
        text = append_history(text, to_past_run(run(id=f"run-{number}", outcome="Failed"), ()))
    text = append_history(text, to_past_run(run(id="run-7", outcome="Succeeded", created_by="me"), (4,)))
    found = decode_history(text)
    assert [past.id for past in found] == [
        "run-3",
        "run-4",
        "run-5",
        "run-6",
        "run-8",
        *(f"run-{n}" for n in range(9, 13)),
        "run-7",
    ]
    assert (found[-1].outcome, found[-1].revisions_created, found[-1].created_by) == ("Succeeded", (4,), "me")


def test_a_run_that_went_back_is_told_by_what_was_asked_for() -> None:
    past = to_past_run(run(images=OLD, original_images=NEW, rollback_reason="Abort", message="x" * 1000), ())
    assert (past.images, past.from_images, len(past.message)) == (NEW, OLD, MAX_TEXT_LENGTH)


def test_history_always_leaves_room_for_the_run_beside_it() -> None:
    text, many = None, {f"container-{number}": "registry.example.com/shop/web:1" for number in range(300)}
    for number in range(MAX_RUNS):
        text = append_history(text, to_past_run(run(images=many, id=f"run-{number}", created_by="b" * 10_000), ()))
    assert text is not None
    assert len(text) <= MAX_ANNOTATION_BYTES
    found = decode_history(text)
    assert found[-1].id == "run-9"
    assert len(found[-1].created_by) == MAX_TEXT_LENGTH
    assert len(found) > 1


def test_what_cannot_be_read_is_no_history() -> None:
    assert decode_history("{") == decode_history('[{"id": 3}]') == decode_history(None) == ()
    (past,) = decode_history(append_history("{", to_past_run(run(), ())))
    assert past.id == "run-1"
