"""What is said of an owner that would undo a change."""

from inplace.engine.workloads.wording import owned_by
from inplace.model.objects.meta import OwnerReference


def test_a_replica_set_of_a_deployment_names_the_deployment() -> None:
    assert owned_by("rs/web-1", OwnerReference("Deployment", "web", "u")).endswith("upgrade deploy/web")
