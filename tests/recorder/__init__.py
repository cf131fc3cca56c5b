"""An independent witness: records what the API server says happened, and judges it against the promises.

It shares nothing with `inplace`, not even the Kubernetes library, so a wrong belief in the product cannot hide here too.
"""

from tests.recorder.history import active_replicasets, restarts, survivors, writes_after
from tests.recorder.log import Event, Object
from tests.recorder.recorder import Recorder
from tests.recorder.rules import Rules, validate
from tests.recorder.witness import Witness
from tests.recorder.writers import writes_by_us

__all__ = [
    "Event",
    "Object",
    "Recorder",
    "Rules",
    "Witness",
    "active_replicasets",
    "restarts",
    "survivors",
    "validate",
    "writes_after",
    "writes_by_us",
]
