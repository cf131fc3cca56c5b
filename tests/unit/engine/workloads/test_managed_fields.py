"""Who owns an image under server-side apply, and how it is given back. The entries are as a real API server writes them."""

import copy
from typing import Any

from inplace.engine.workloads.managed_fields import POD_PATH, TEMPLATE_PATH, image_owners, last_writer, return_ownership
from inplace.model.run import FieldOwner

OURS = "inplace"
HELM = FieldOwner(manager="helm", operation="Apply", api_version="apps/v1", containers=("app",))


def key(name: str) -> str:
    return f'k:{{"name":"{name}"}}'


def applied(manager: str = "helm", *names: str, image: bool = True, operation: str = "Apply") -> dict[str, Any]:
    owned: dict[str, Any] = {
        key(n): {".": {}, "f:name": {}, "f:ports": {}, **({"f:image": {}} if image else {})} for n in names or ("app",)
    }
    spec = {"f:replicas": {}, "f:template": {"f:metadata": {"f:labels": {"f:app": {}}}, "f:spec": {"f:containers": owned}}}
    return {
        "manager": manager,
        "operation": operation,
        "apiVersion": "apps/v1",
        "time": "2026-01-01T00:00:00Z",
        "fieldsType": "FieldsV1",
        "fieldsV1": {"f:metadata": {"f:labels": {"f:app": {}}}, "f:spec": spec},
    }


def patched(*names: str) -> dict[str, Any]:
    """What our strategic merge patch of images leaves."""
    fields: dict[str, Any] = {"f:spec": {"f:template": {"f:spec": {"f:containers": {key(n): {"f:image": {}} for n in names}}}}}
    return {
        "manager": OURS,
        "operation": "Update",
        "apiVersion": "apps/v1",
        "time": "2026-01-01T00:01:00Z",
        "fieldsType": "FieldsV1",
        "fieldsV1": fields,
    }


STATUS = {
    "manager": "kube-controller-manager",
    "operation": "Update",
    "apiVersion": "apps/v1",
    "subresource": "status",
    "fieldsType": "FieldsV1",
    "fieldsV1": {"f:status": {"f:replicas": {}}},
}


class TestOwners:
    def test_an_applier_of_the_image(self) -> None:
        assert image_owners([STATUS, applied()], ["app"], TEMPLATE_PATH, OURS) == (HELM,)

    def test_an_owner_by_update_as_client_side_apply_and_edit_are(self) -> None:
        client = applied("kubectl-client-side-apply", operation="Update")
        (owner,) = image_owners([client, STATUS], ["app"], TEMPLATE_PATH, OURS)
        assert (owner.manager, owner.operation, owner.containers) == ("kubectl-client-side-apply", "Update", ("app",))

    def test_we_ourselves_are_no_owner_to_give_back_to(self) -> None:
        assert image_owners([applied(OURS)], ["app"], TEMPLATE_PATH, OURS) == ()

    def test_an_applier_of_everything_but_the_image(self) -> None:
        assert image_owners([applied(image=False)], ["app"], TEMPLATE_PATH, OURS) == ()

    def test_only_the_containers_asked_about(self) -> None:
        (owner,) = image_owners([applied("helm", "app", "mesh", "log")], ["mesh", "app", "gone"], TEMPLATE_PATH, OURS)
        assert owner.containers == ("app", "mesh")

    def test_several_appliers_share_it(self) -> None:
        owners = image_owners([applied("argo"), applied("helm")], ["app"], TEMPLATE_PATH, OURS)
        assert [o.manager for o in owners] == ["argo", "helm"]

    def test_a_sidecar(self) -> None:
        entry = applied()
        spec = entry["fieldsV1"]["f:spec"]["f:template"]["f:spec"]
        spec["f:initContainers"] = {key("mesh"): {"f:image": {}}}
        (owner,) = image_owners([entry], ["mesh"], TEMPLATE_PATH, OURS)
        assert owner.containers == ("mesh",)

    def test_a_bare_pod(self) -> None:
        entry = {**applied(), "apiVersion": "v1", "fieldsV1": {"f:spec": {"f:containers": {key("app"): {"f:image": {}}}}}}
        assert image_owners([entry], ["app"], POD_PATH, OURS)[0].api_version == "v1"
        assert image_owners([entry], ["app"], TEMPLATE_PATH, OURS) == ()

    def test_entries_without_fields(self) -> None:
        assert image_owners([{}, {"operation": "Apply", "manager": "x", "fieldsV1": None}], ["app"], TEMPLATE_PATH, OURS) == ()


class TestGivingBack:
    TAKEN = [applied(image=False), STATUS, patched("app")]
    """An Update that changes an applied field takes it away."""

    def test_as_if_we_had_never_been(self) -> None:
        assert return_ownership(self.TAKEN, [HELM], TEMPLATE_PATH, OURS) == [applied(), STATUS]

    def test_the_given_entries_are_not_changed(self) -> None:
        before = copy.deepcopy(self.TAKEN)
        return_ownership(self.TAKEN, [HELM], TEMPLATE_PATH, OURS)
        assert before == self.TAKEN

    def test_a_second_time_changes_nothing(self) -> None:
        once = return_ownership(self.TAKEN, [HELM], TEMPLATE_PATH, OURS)
        assert return_ownership(once, [HELM], TEMPLATE_PATH, OURS) == once

    def test_what_nobody_owned_is_nobodys_again(self) -> None:
        both = return_ownership([applied(image=False), patched("app", "mesh")], [HELM], TEMPLATE_PATH, OURS)
        assert both == [applied()]
        assert return_ownership([patched("mesh")], [], TEMPLATE_PATH, OURS) == []

    def test_what_somebody_has_written_since_is_theirs(self) -> None:
        taken = [applied(image=False), applied("gitops"), patched("mesh")]
        assert return_ownership(taken, [HELM], TEMPLATE_PATH, OURS) == [applied(image=False), applied("gitops")]

    def test_an_owner_whose_entry_is_gone_gets_a_new_one(self) -> None:
        (status, entry) = return_ownership([STATUS, patched("app")], [HELM], TEMPLATE_PATH, OURS)
        assert status == STATUS
        assert (entry["manager"], entry["operation"], entry["apiVersion"]) == ("helm", "Apply", "apps/v1")
        assert entry["fieldsV1"] == patched("app")["fieldsV1"]
        assert image_owners([entry], ["app"], TEMPLATE_PATH, OURS) == (HELM,)

    def test_a_sidecar_goes_back_to_the_init_containers(self) -> None:
        entry, mine = applied(), patched()
        entry["fieldsV1"]["f:spec"]["f:template"]["f:spec"]["f:initContainers"] = {key("mesh"): {".": {}, "f:name": {}}}
        mine["fieldsV1"]["f:spec"]["f:template"]["f:spec"] = {"f:initContainers": {key("mesh"): {"f:image": {}}}}
        owner = FieldOwner(manager="helm", operation="Apply", api_version="apps/v1", containers=("mesh",))
        (back,) = return_ownership([entry, mine], [owner], TEMPLATE_PATH, OURS)
        sidecar = back["fieldsV1"]["f:spec"]["f:template"]["f:spec"]["f:initContainers"][key("mesh")]
        assert sidecar == {".": {}, "f:name": {}, "f:image": {}}

    def test_another_subresource_is_another_entry(self) -> None:
        scale = {**applied(image=False), "subresource": "scale"}
        back = return_ownership([scale, patched("app")], [HELM], TEMPLATE_PATH, OURS)
        assert back[0] == scale
        assert len(back) == 2

    def test_all_owners_get_it_back(self) -> None:
        argo = FieldOwner(manager="argo", operation="Apply", api_version="apps/v1", containers=("app",))
        taken = [applied("argo", image=False), applied(image=False), patched("app")]
        assert return_ownership(taken, [argo, HELM], TEMPLATE_PATH, OURS) == [applied("argo"), applied()]


class TestLastWriter:
    """Who changed the spec under us."""

    def test_is_the_last_but_us_that_wrote_the_spec(self) -> None:
        spec: dict[str, Any] = {"f:spec": {"f:template": {}}}
        managed = [
            {"manager": "kubectl-set", "time": "2026-01-01T20:41:07Z", "fieldsV1": spec},
            {"manager": "kubectl-create", "time": "2026-01-01T20:00:00Z", "fieldsV1": spec},
            {"manager": "inplace", "time": "2026-01-01T21:00:00Z", "fieldsV1": spec},
            {"manager": "hpa", "time": "2026-01-01T21:00:00Z", "fieldsV1": spec, "subresource": "scale"},
            {"manager": "labeller", "time": "2026-01-01T21:00:00Z", "fieldsV1": {"f:metadata": {}}},
        ]
        assert last_writer(managed, "inplace") == "field manager kubectl-set, 20:41:07Z"

    def test_may_be_nobody(self) -> None:
        assert last_writer([{"manager": "inplace", "fieldsV1": {"f:spec": {}}}], "inplace") == ""
        assert last_writer([{"manager": "old", "fieldsV1": {"f:spec": {}}}], "inplace") == "field manager old"


class TestStrategy:
    """Of a StatefulSet or a DaemonSet: as a real API server shows it after the partition went up and down again."""

    OWNED: dict[str, Any] = {"f:rollingUpdate": {"f:partition": {}}, "f:type": {}}

    def entries(self) -> list[dict[str, Any]]:
        helm, mine = applied(), patched("app")
        helm["fieldsV1"]["f:spec"]["f:updateStrategy"] = {"f:type": {}}
        mine["fieldsV1"]["f:spec"]["f:updateStrategy"] = {"f:rollingUpdate": {".": {}, "f:partition": {}}}
        return [helm, mine]

    def test_its_applier_is_an_owner(self) -> None:
        helm = applied(image=False)
        helm["fieldsV1"]["f:spec"]["f:updateStrategy"] = self.OWNED
        (owner,) = image_owners([helm], ["app"], TEMPLATE_PATH, OURS)
        assert (owner.containers, owner.strategy) == ((), self.OWNED)

    def test_is_given_back_whole(self) -> None:
        owner = FieldOwner(manager="helm", operation="Apply", api_version="apps/v1", containers=("app",), strategy=self.OWNED)
        (back,) = return_ownership(self.entries(), [owner], TEMPLATE_PATH, OURS)
        assert back["manager"] == "helm"
        assert back["fieldsV1"]["f:spec"]["f:updateStrategy"] == self.OWNED

    def test_one_that_nobody_applied_is_nobodys(self) -> None:
        (back,) = return_ownership(self.entries(), [HELM], TEMPLATE_PATH, OURS)
        assert back["manager"] == "helm"
