"""Stored runs: Leases as a holder leaves them, and what a holder does when it obeys a request."""

from collections.abc import Callable

from inplace.model.constants import REQUEST_ANNOTATION, RUN_ANNOTATION
from inplace.model.objects.coordination import Lease, LeaseSpec
from inplace.model.objects.meta import ObjectMeta
from inplace.model.run import Run, RunOptions, encode_run, parse_steps
from tests.builders import NS, run
from tests.cli.fakes import FakeServer

LEASE = "inplace-deployment-web"


def lease(stored: Run | str, holder: str = "", renewed: str = "", name: str = "inplace-deployment-web") -> Lease:
    text = stored if isinstance(stored, str) else encode_run(stored)
    meta = ObjectMeta(
        name=name,
        namespace=NS,
        resource_version="7",
        annotations={RUN_ANNOTATION: text},
        labels={"app.kubernetes.io/managed-by": "inplace"},
    )
    return Lease(metadata=meta, spec=LeaseSpec(holder_identity=holder or None, renew_time=renewed or None))


def paused() -> Run:
    options = RunOptions(steps=parse_steps("50%,pause,100%"))
    return run(
        options,
        outcome="Paused",
        message="waiting at step 2 of 3 for `inplace promote`",
        steps_passed=1,
        created_by="me@here",
        started_at="2026-01-01T11:59:00Z",
    )


def ends(server: FakeServer, outcome: str, message: str = "") -> Callable[[], None]:
    """The holder obeys: it stores how the run ended, removes the request, and lets go."""

    def obey() -> None:
        stored = server.objects["leases"][LEASE]
        ended = run(outcome=outcome, message=message)
        stored["metadata"]["annotations"] = {RUN_ANNOTATION: encode_run(ended)}
        stored["spec"] = {}

    return obey


def request_of(server: FakeServer) -> str | None:
    found: str | None = server.objects["leases"][LEASE]["metadata"]["annotations"].get(REQUEST_ANNOTATION)
    return found


class Interrupted:
    """Ctrl-C at the second look."""

    def __init__(self) -> None:
        self.looks = 0

    def __call__(self) -> None:
        self.looks += 1
        if self.looks == 2:
            raise KeyboardInterrupt
