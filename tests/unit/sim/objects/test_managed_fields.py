"""Who owns a field, as a real 1.36 says (measured), as far as images and server-side apply need it."""

from typing import Any

from tests.unit.sim.support import APPLY, JSON_PATCH, Client, app

Json = dict[str, Any]


def _manifest(image: str, **more: Any) -> Json:
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [app(image, **more)]}}
    spec = {"replicas": 0, "selector": {"matchLabels": {"app": "web"}}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": spec}


def _owners(client: Client) -> dict[str, str]:
    """Manager to operation, of those that own the image."""
    entries = client.get("deployments/web")["metadata"]["managedFields"]
    found = {}
    for entry in entries:
        spec = entry["fieldsV1"].get("f:spec", {}).get("f:template", {}).get("f:spec", {})
        if "f:image" in spec.get("f:containers", {}).get('k:{"name":"app"}', {}):
            found[entry["manager"]] = entry["operation"]
    return found


def _apply(client: Client, manifest: Json, **query: str) -> Json:
    return client.ok("PATCH", "deployments/web", manifest, APPLY, fieldManager="flux", **query)


def test_apply_creates_and_owns_and_a_patch_takes_over() -> None:
    client = Client()
    _apply(client, _manifest("reg/app:1"))
    assert _owners(client) == {"flux": "Apply"}
    client.ok("PATCH", "deployments/web", _image("reg/app:2"), JSON_PATCH, fieldManager="inplace")
    assert _owners(client) == {"inplace": "Update"}


def _image(image: str) -> list[Json]:
    return [{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": image}]


def test_the_next_apply_conflicts_unless_forced_or_the_same() -> None:
    client = Client()
    _apply(client, _manifest("reg/app:1"))
    client.ok("PATCH", "deployments/web", _image("reg/app:2"), JSON_PATCH, fieldManager="inplace")
    code, message = client.refused("PATCH", "deployments/web", _manifest("reg/app:1"), APPLY, fieldManager="flux")
    place = '.spec.template.spec.containers[name="app"].image'
    assert (code, message) == (409, f'Apply failed with 1 conflict: conflict with "inplace" using apps/v1: {place}')
    _apply(client, _manifest("reg/app:2"))
    assert _owners(client) == {"flux": "Apply", "inplace": "Update"}
    made = _apply(client, _manifest("reg/app:1"), force="true")
    assert made["spec"]["template"]["spec"]["containers"][0]["image"] == "reg/app:1"
    assert _owners(client) == {"flux": "Apply"}


def test_rewriting_managed_fields_keeps_the_generation() -> None:
    """How our product gives a field back: the next apply is clean."""
    client = Client()
    _apply(client, _manifest("reg/app:1"))
    before = client.get("deployments/web")["metadata"]["managedFields"]
    patched = client.ok("PATCH", "deployments/web", _image("reg/app:2"), JSON_PATCH, fieldManager="inplace")["metadata"]
    operations = [
        {"op": "test", "path": "/metadata/resourceVersion", "value": patched["resourceVersion"]},
        {"op": "replace", "path": "/metadata/managedFields", "value": before},
    ]
    made = client.ok("PATCH", "deployments/web", operations, JSON_PATCH, fieldManager="inplace")["metadata"]
    assert made["generation"] == patched["generation"]
    assert made["resourceVersion"] != patched["resourceVersion"]
    assert _owners(client) == {"flux": "Apply"}
    _apply(client, _manifest("reg/app:3"))


def test_what_an_applier_no_longer_asks_for_goes() -> None:
    client = Client()
    _apply(client, _manifest("reg/app:1", workingDir="/x"))
    made = _apply(client, _manifest("reg/app:1"))
    assert "workingDir" not in made["spec"]["template"]["spec"]["containers"][0]


def test_an_apply_that_changes_nothing_makes_no_version() -> None:
    client = Client()
    version = _apply(client, _manifest("reg/app:1"))["metadata"]["resourceVersion"]
    assert _apply(client, _manifest("reg/app:1"))["metadata"]["resourceVersion"] == version


def test_an_apply_names_its_manager() -> None:
    client = Client()
    code, message = client.refused("PATCH", "deployments/web", _manifest("x"), APPLY)
    assert code == 422
    assert "fieldManager: Required value: is required for apply patch" in message


def test_a_status_write_has_an_entry_of_its_own() -> None:
    client = Client()
    client.pod("a", gate=True)
    client.run(2)
    client.set_gate("a", "True")
    entries = client.get("pods/a")["metadata"]["managedFields"]
    assert [(e["manager"], e.get("subresource")) for e in entries] == [("kubectl", None), ("kubectl", "status")]
    assert 'k:{"type":"inplace.dev/ready"}' in entries[1]["fieldsV1"]["f:status"]["f:conditions"]
