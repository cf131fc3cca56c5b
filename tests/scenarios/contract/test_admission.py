"""Admission: who asks is not told what becomes of it but by the answer."""

import pytest

from tests.recorder import Object
from tests.scenarios.facts import images_in
from tests.scenarios.manifests import pod, replicaset
from tests.scenarios.objects import ApiRefused
from tests.scenarios.policies import Refuses, Rewrites
from tests.scenarios.scene import WEB, Scene


def template_of(scene: Scene, reference: str = WEB) -> dict[str, str]:
    return images_in(scene.get(reference)["spec"]["template"]["spec"])


@pytest.mark.since(36)
def test_a_policy_on_deployments_changes_what_a_patch_asks_for(scene: Scene) -> None:
    scene.web(1, serve=False)
    pinned = f"{scene.image('app:2')}@{scene.stage.digest('app:2')}"
    lift = scene.enforce(Rewrites("pin", "deployments", scene.image("app:2"), pinned))
    assert images_in(scene.set_images(WEB, app=scene.image("app:2"))["spec"]["template"]["spec"]) == {"app": pinned}
    assert template_of(scene) == {"app": pinned}
    scene.run_gates()
    scene.until_rolled_out()
    assert list(scene.images().values()) == [{"app": pinned}], "and it can be pulled"
    lift()
    scene.set_images(WEB, app=scene.image("app:2"))
    assert template_of(scene) == {"app": scene.image("app:2")}


@pytest.mark.since(36)
def test_a_policy_on_new_pods_leaves_the_template_as_it_is(scene: Scene) -> None:
    scene.stage.push("mirror/app:1", "1")
    scene.enforce(Rewrites("mirror", "pods", scene.image("app:1"), scene.image("mirror/app:1"), ("CREATE",)))
    scene.web(1)
    assert template_of(scene) == {"app": scene.image("app:1")}
    assert list(scene.images().values()) == [{"app": scene.image("mirror/app:1")}]
    (name,) = scene.before
    scene.set_images(f"pod/{name}", app=scene.image("app:1"))
    assert scene.images() == {name: {"app": scene.image("app:1")}}, "updates are not looked at"


def test_what_is_refused_is_refused_in_the_policys_words(scene: Scene) -> None:
    scene.enforce(Refuses("only-controllers", "replicasets", "ask a Deployment", operations=("CREATE",), of_people=True))
    with pytest.raises(ApiRefused) as refused:
        scene.create(replicaset("mine", scene.image("app:1"), replicas=0))
    name = f"{scene.ns}-only-controllers"
    why = f"ValidatingAdmissionPolicy '{name}' with binding '{name}' denied request: ask a Deployment"
    assert (refused.value.code, refused.value.message) == (422, f'replicasets.apps "mine" is forbidden: {why}')
    scene.web(1, serve=False)
    scene.enforce(Refuses("frozen", "pods/status", "no status"))
    with pytest.raises(ApiRefused, match="no status"):
        scene.set_gate(next(iter(scene.before)), "False")
    scene.enforce(Refuses("bad", "pods", "not this image", image=scene.image("app:3")))
    with pytest.raises(ApiRefused, match="not this image"):
        scene.create(pod("bare", scene.image("app:3")))
    scene.create(pod("bare", scene.image("app:2")))


def is_refused(scene: Scene, body: Object) -> bool:
    try:
        scene.send("POST", scene.path("rs"), body, dryRun="All")
    except ApiRefused:
        return True
    return False


def test_a_quota_of_objects(scene: Scene) -> None:
    counted = "count/replicasets.apps"
    scene.web(1, serve=False)
    scene.create({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "few"}, "spec": {"hard": {counted: "1"}}})
    scene.until(lambda: scene.get("quota/few").get("status", {}).get("used") == {counted: "1"}, "the quota is counted")
    more = replicaset("more", scene.image("app:1"), replicas=0)
    # Admission learns of the quota by a watch of its own, which may be later than ours.
    scene.until(lambda: is_refused(scene, more), "the quota is in force")
    for query in ({"dryRun": "All"}, {}):
        with pytest.raises(ApiRefused) as refused:
            scene.send("POST", scene.path("rs"), more, **query)
        text = f"exceeded quota: few, requested: {counted}=1, used: {counted}=1, limited: {counted}=1"
        assert (refused.value.code, refused.value.message) == (403, f'replicasets.apps "more" is forbidden: {text}')
