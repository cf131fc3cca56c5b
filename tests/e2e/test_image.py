"""The project's own image runs where least is allowed: it takes a kubelet and Pod Security to say so."""

import json

from inplace import __version__
from tests.cluster import Cluster
from tests.cluster.wait import eventually


def restricted_pod(image: str, *args: str) -> dict[str, object]:
    container = {
        "name": "inplace",
        "image": image,
        "args": args,
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }
    security = {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}}
    spec = {"restartPolicy": "Never", "securityContext": security, "containers": [container]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "inplace"}, "spec": spec}


def test_the_image_runs_restricted_and_reaches_the_api_server(cluster: Cluster, ns: str, program: str) -> None:
    cluster.kubectl("label", "namespace", ns, "pod-security.kubernetes.io/enforce=restricted")
    cluster.kubectl("-n", ns, "create", "-f-", input=json.dumps(restricted_pod(program, "version", "--server-version")))
    phase = ("-n", ns, "get", "pod", "inplace", "-o=jsonpath={.status.phase}")
    ended = eventually(lambda: (p := cluster.kubectl(*phase)) in ("Succeeded", "Failed") and p, "the pod ends", 180)
    told = cluster.kubectl("-n", ns, "logs", "inplace")
    assert (ended, told.splitlines()[0]) == ("Succeeded", f"inplace {__version__}")
    assert told.splitlines()[1].startswith("server v1.")


def test_the_manifests_are_in_it(cluster: Cluster, ns: str, program: str) -> None:
    cluster.kubectl("-n", ns, "create", "-f-", input=json.dumps(restricted_pod(program, "install", "--dry-run", "client")))
    phase = ("-n", ns, "get", "pod", "inplace", "-o=jsonpath={.status.phase}")
    eventually(lambda: cluster.kubectl(*phase) in ("Succeeded", "Failed"), "the pod ends", 180)
    told = cluster.kubectl("-n", ns, "logs", "inplace")
    assert "deployment.apps/inplace-controller in inplace-system would be applied" in told
    assert "customresourcedefinition.apiextensions.k8s.io/inplacerollouts.inplace.dev would be applied" in told
