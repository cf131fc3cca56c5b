"""The embedded cluster as a process of its own, used with the real kubectl and the real `inplace`; its columns against a real
cluster's. For a real cluster alone since only its set-up builds kubectl.
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster import Cluster
from tests.cluster.paths import binaries
from tests.cluster.processes import environment
from tests.cluster.wait import eventually
from tests.e2e.command import PROGRAM
from tests.e2e.crd_cases import ACCEPTED, CRD, REFUSED, listed, rollout

Json = dict[str, Any]
GATE = "inplace.dev/ready"
KINDS = (
    "pods", "deployments", "replicasets", "statefulsets", "daemonsets", "controllerrevisions", "services", "endpointslices",
    "poddisruptionbudgets", "configmaps", "secrets", "serviceaccounts", "leases", "events", "nodes", "namespaces",
)  # fmt: skip
WORKLOADS = ("deploy/web", "sts/db", "ds/agent")


class Kubectl:
    """`kubectl(...)` is its standard output; it must succeed."""

    def __init__(self, folder: Path, kubeconfig: Path, namespace: str = "default") -> None:
        self.kubeconfig, self.namespace, self.folder = kubeconfig, namespace, folder
        self.env = {**environment(), "KUBECONFIG": str(kubeconfig), "KUBECACHEDIR": str(folder / "cache")}

    def __call__(self, *args: str, stdin: str = "") -> str:
        done = self.run(*args, stdin=stdin)
        assert done.returncode == 0, f"kubectl {' '.join(args)}: {done.stderr}"
        return done.stdout

    def run(self, *args: str, stdin: str = "") -> "subprocess.CompletedProcess[str]":
        return subprocess.run(self.command(*args), env=self.env, input=stdin, capture_output=True, text=True, timeout=120)

    def command(self, *args: str) -> list[str]:
        return [str(binaries() / "kubectl"), f"--namespace={self.namespace}", *args]

    def get(self, *args: str) -> Json:
        found: Json = json.loads(self("get", *args, "-o=json"))
        return found


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubectl]:
    folder = tmp_path_factory.mktemp("embedded")
    config = folder / "kubeconfig"
    served = subprocess.Popen(
        [sys.executable, "-m", "inplace.sim", "--kubeconfig", str(config)], env=environment(), stdout=subprocess.PIPE, text=True
    )
    try:
        assert served.stdout is not None
        assert served.stdout.readline() == f"export KUBECONFIG={config}\n"
        yield Kubectl(folder, config)
    finally:
        served.terminate()
        assert served.wait(20) == 0
        assert served.stdout is not None
        served.stdout.close()


@pytest.fixture
def kubectl(embedded: Kubectl, request: pytest.FixtureRequest) -> Kubectl:
    """In a namespace of its own."""
    name = re.sub(r"[^a-z0-9]+", "-", request.node.name).strip("-")[:60]
    embedded("create", "namespace", name)
    return Kubectl(embedded.folder, embedded.kubeconfig, name)


def _workload(kind: str, name: str, image: str, **spec: Any) -> Json:
    probe = {"httpGet": {"port": 8080}, "periodSeconds": 1}
    container = {"name": "app", "image": f"{image}:1", "ports": [{"containerPort": 8080}], "readinessProbe": probe}
    template = {"metadata": {"labels": {"app": name}}, "spec": {"terminationGracePeriodSeconds": 1, "containers": [container]}}
    spec = {"selector": {"matchLabels": {"app": name}}, "template": template, **spec}
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}


def _manifest(image: str) -> str:
    everything = [
        _workload("Deployment", "web", image, replicas=2),
        _workload("StatefulSet", "db", image, replicas=2, serviceName="db"),
        _workload("DaemonSet", "agent", image),
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "web"},
            "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]},
        },
        {
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": {"name": "web"},
            "spec": {"maxUnavailable": 1, "selector": {"matchLabels": {"app": "web"}}},
        },
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "conf"}, "data": {"a": "b"}},
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "sec"}, "stringData": {"a": "b"}},
        {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": "lock"},
            "spec": {"holderIdentity": "me"},
        },
    ]
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": everything})


def _up(kubectl: Kubectl, image: str = "reg/app", verb: str = "apply") -> None:
    kubectl(verb, "-f", "-", stdin=_manifest(image))
    for workload in WORKLOADS:
        kubectl("rollout", "status", workload, "--timeout=60s")


def _headers(shown: str) -> list[str]:
    return re.split(r" {2,}", shown.splitlines()[0].strip())


def _uids(kubectl: Kubectl, label: str) -> set[str]:
    """Of those that live."""
    pods = [pod["metadata"] for pod in kubectl.get("pods", "-l", label)["items"]]
    return {meta["uid"] for meta in pods if "deletionTimestamp" not in meta}


@pytest.mark.since(35)  # before, a ServiceAccount has the column SECRETS
def test_columns_are_those_of_a_real_cluster(kubectl: Kubectl, cluster: Cluster, ns: str, tmp_path: Path) -> None:
    real = Kubectl(tmp_path, Path(cluster.kubeconfig), ns)
    _up(kubectl)
    _up(real, cluster.image("app:1", "1").removesuffix(":1"))
    for kind in KINDS:
        for how in ((), ("-o=wide",), ("--show-labels",)):
            shown = [_headers(each("get", kind, *how)) for each in (kubectl, real)]
            assert shown[0] == shown[1], kind
    scale = [_headers(each("get", "deploy/web", "--subresource=scale")) for each in (kubectl, real)]
    assert scale[0] == scale[1]
    alls = [re.findall(r"^(\S+?)/", each("get", "all"), re.MULTILINE) for each in (kubectl, real)]
    assert alls[0] == alls[1]  # kinds in the same order, each as often


def test_descriptions_have_the_lines_of_a_real_cluster(kubectl: Kubectl, cluster: Cluster, ns: str, tmp_path: Path) -> None:
    real = Kubectl(tmp_path, Path(cluster.kubeconfig), ns)
    _up(kubectl)
    _up(real, cluster.image("app:1", "1").removesuffix(":1"))
    for what in (*WORKLOADS, "svc/web", "pdb/web", "pod/db-0"):
        fields = [set(re.findall(r"^([A-Z][A-Za-z -]*):", each("describe", what), re.MULTILINE)) for each in (kubectl, real)]
        assert fields[0] == fields[1], what
    described = kubectl("describe", "pod/db-0")
    for reason in ("Scheduled", "Pulled", "Created", "Started"):
        assert re.search(rf"Normal +{reason} ", described)


def test_create_apply_show_and_replace(kubectl: Kubectl) -> None:
    _up(kubectl, verb="create")
    assert "created" not in kubectl("apply", "-f", "-", stdin=_manifest("reg/app"))
    shown = kubectl("get", "deploy/web", "-o=yaml")
    assert "deployment.apps/web replaced" in kubectl("replace", "-f", "-", stdin=shown)
    kubectl("create", "deployment", "plain", "--image=reg/app:1", "--replicas=2")
    kubectl("rollout", "status", "deploy/plain", "--timeout=60s")
    assert kubectl("get", "deploy/plain", "-o=jsonpath={.status.readyReplicas}") == "2"
    kubectl("run", "one", "--image=reg/app:1", "--restart=Never")
    kubectl("wait", "--for=condition=Ready", "pod/one", "--timeout=60s")
    events = kubectl("events", "--for=pod/one")
    assert [line.split()[2] for line in events.splitlines()[1:]][-1] == "Started"
    assert "Started" in kubectl("get", "events", "--field-selector=involvedObject.name=one")


def test_patches_of_all_types_and_of_status(kubectl: Kubectl) -> None:
    _up(kubectl)
    kubectl("patch", "deploy/web", "--type=strategic", '-p={"metadata":{"labels":{"strategic":"1"}}}')
    kubectl("patch", "deploy/web", "--type=merge", '-p={"metadata":{"labels":{"merge":"1"}}}')
    kubectl("patch", "deploy/web", "--type=json", '-p=[{"op":"add","path":"/metadata/labels/json","value":"1"}]')
    assert kubectl.get("deploy/web")["metadata"]["labels"] == {"strategic": "1", "merge": "1", "json": "1"}
    body = json.dumps({"status": {"conditions": [{"type": GATE, "status": "True"}]}, "spec": {"nodeName": "elsewhere"}})
    kubectl("patch", "pod/db-0", "--subresource=status", "--type=strategic", f"-p={body}")
    pod = kubectl.get("pod/db-0")
    assert {c["type"]: c["status"] for c in pod["status"]["conditions"]}[GATE] == "True"
    assert pod["spec"]["nodeName"].startswith("node")
    refused = kubectl.run("patch", "sts/db", "--type=merge", '-p={"spec":{"serviceName":"x"}}')
    assert refused.returncode == 1
    assert "updates to statefulset spec for fields other than" in refused.stderr


@pytest.mark.parametrize("workload", WORKLOADS)
def test_rollouts_of_each_kind(kubectl: Kubectl, workload: str) -> None:
    _up(kubectl)
    label = f"app={workload.partition('/')[2]}"
    before = _uids(kubectl, label)
    kubectl("set", "image", workload, "app=reg/app:2")
    kubectl("rollout", "status", workload, "--timeout=60s")
    assert not before & _uids(kubectl, label)
    assert re.findall(r"^(\d+) ", kubectl("rollout", "history", workload), re.MULTILINE) == ["1", "2"]
    assert "reg/app:1" in kubectl("rollout", "history", workload, "--revision=1")
    kubectl("rollout", "undo", workload)
    kubectl("rollout", "status", workload, "--timeout=60s")
    assert kubectl("get", workload, "-o=jsonpath={.spec.template.spec.containers[0].image}") == "reg/app:1"
    assert re.findall(r"^(\d+) ", kubectl("rollout", "history", workload), re.MULTILINE) == ["2", "3"]


def test_scaling_and_deleting(kubectl: Kubectl) -> None:
    _up(kubectl)
    kubectl("scale", "deploy/web", "--replicas=4")
    kubectl("scale", "sts/db", "--replicas=1")
    for workload in ("deploy/web", "sts/db"):
        kubectl("rollout", "status", workload, "--timeout=60s")
    eventually(lambda: len(_uids(kubectl, "app=web")) == 4 and len(_uids(kubectl, "app=db")) == 1, "the pods", 30)
    kubectl("delete", "pod", "db-0")  # waits for it
    kubectl("wait", "--for=create", "pod/db-0", "--timeout=60s")
    kubectl("delete", *WORKLOADS)
    eventually(lambda: not kubectl.get("pods")["items"], "the garbage collection", 30)
    kubectl("delete", "namespace", kubectl.namespace)
    assert kubectl.run("get", "namespace", kubectl.namespace).returncode == 1


def test_a_watch_tells_what_happens(kubectl: Kubectl) -> None:
    _up(kubectl)
    out = kubectl.folder / f"{kubectl.namespace}.watch"
    with out.open("wb") as stdout:
        watching = subprocess.Popen(kubectl.command("get", "pods", "--watch", "-o=name"), env=kubectl.env, stdout=stdout)
    try:
        eventually(lambda: len(out.read_text().splitlines()) >= 6, "the pods there are", 30)
        kubectl("delete", "pod", "db-1")
        eventually(lambda: out.read_text().count("pod/db-1\n") >= 5, "its end and its new beginning", 30)
    finally:
        watching.terminate()
        watching.wait(20)


def test_raw_paths_and_discovery(kubectl: Kubectl) -> None:
    kubectl("create", "configmap", "conf", "--from-literal=a=b")
    assert json.loads(kubectl("get", "--raw", f"/api/v1/namespaces/{kubectl.namespace}/configmaps/conf"))["data"] == {"a": "b"}
    assert kubectl("get", "--raw", "/readyz") == "ok"
    assert json.loads(kubectl("get", "--raw", "/version"))["minor"] == "36"
    resources = {line.split()[0] for line in kubectl("api-resources", "--no-headers").splitlines()}
    assert set(KINDS) <= resources
    assert "apps/v1" in kubectl("api-versions").split()
    assert kubectl("auth", "can-i", "patch", "pods").strip() == "yes"
    assert "Server Version: v1.36" in kubectl("version")


def test_the_product_upgrades_in_place(kubectl: Kubectl) -> None:
    gated = _workload("Deployment", "web", "reg/app", replicas=3)
    gated["spec"]["template"]["spec"]["readinessGates"] = [{"conditionType": GATE}]
    kubectl("apply", "-f", "-", stdin=json.dumps(gated))
    eventually(lambda: len(_uids(kubectl, "app=web")) == 3, "the pods", 30)
    opened = {"status": {"conditions": [{"type": GATE, "status": "True"}]}}
    for pod in kubectl.get("pods")["items"]:
        kubectl("patch", f"pod/{pod['metadata']['name']}", "--subresource=status", f"-p={json.dumps(opened)}")
    kubectl("rollout", "status", "deploy/web", "--timeout=60s")
    before = _uids(kubectl, "app=web")
    done = subprocess.run(
        [PROGRAM, "upgrade", "deploy/web", "app=reg/app:2", "-n", kubectl.namespace, "--settle=1s", "--max-unavailable=2"],
        env=kubectl.env,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert _uids(kubectl, "app=web") == before
    assert set(kubectl("get", "pods", "-o=jsonpath={.items[*].spec.containers[0].image}").split()) == {"reg/app:2"}
    kubectl("rollout", "status", "deploy/web", "--timeout=10s")
    assert re.findall(r"^(\d+) ", kubectl("rollout", "history", "deploy/web"), re.MULTILINE) == ["1", "2"]


NOT_CHECKED = ", <nil>: Invalid value: null: some validation rules were not checked because the object was invalid"
OF_THE_SCHEMA = (
    "Required value",
    "Unsupported value",
    "Duplicate value",
    "in body",
    "Too many",
    "must have at most",
    "Too long",
)


def _refusals(said: str) -> dict[str, str]:
    """Case to what is said of it, without the brackets that a list of several has."""
    found = re.findall(r'"case-(\d+)" is invalid: (.*)', said)
    return {case: text.partition(NOT_CHECKED)[0].strip("[]") for case, text in found}


def _without_cel(refusal: str) -> str:
    """What the schema alone says, of an image that a rule refuses, too."""
    return re.sub(
        r', [^,]*: Invalid value: "[^"]*": no runtime can pull that image: [^,]*, the repository in lower case', "", refusal
    )


def test_custom_resources_are_those_of_a_real_cluster(kubectl: Kubectl, cluster: Cluster, ns: str, tmp_path: Path) -> None:
    """What is refused and in which words, the columns, the waits. Of CEL here are only fixed fields."""
    real = Kubectl(tmp_path, Path(cluster.kubeconfig), ns)
    for each in (kubectl, real):
        each("apply", "--server-side", "--force-conflicts", "--validate=false", "-f", str(CRD))
        each("wait", "--for=condition=Established", "crd/inplacerollouts.inplace.dev", "--timeout=60s")
        eventually(lambda each=each: "ipr" in each("api-resources", "--api-group=inplace.dev"), "its discovery", 30)  # type: ignore[misc]
    bad = [rollout(f"case-{i}", **spec) for i, (spec, why) in enumerate(REFUSED) if any(t in why for t in OF_THE_SCHEMA)]
    simulated, actual = (
        _refusals(each.run("create", "--dry-run=server", "--validate=false", "-f-", stdin=listed(bad)).stderr)
        for each in (kubectl, real)
    )
    assert len(actual) == len(bad) > 20
    assert simulated == {case: _without_cel(why) for case, why in actual.items()}
    for each in (kubectl, real):
        each("create", "--validate=false", "-f-", stdin=listed([rollout(f"case-{i}", **s) for i, s in enumerate(ACCEPTED)]))
    stored = [
        {item["metadata"]["name"]: item["spec"] for item in each.get("inplacerollouts")["items"]} for each in (kubectl, real)
    ]
    assert stored[0] == stored[1]
    for change in ('{"spec":{"gate":"x"}}', '{"spec":{"images":null}}', '{"spec":{"target":{"name":"x"}}}'):
        refused = [each.run("patch", "ipr/case-0", "--type=merge", f"-p={change}").stderr for each in (kubectl, real)]
        assert "Forbidden" in refused[0]
        assert refused[0] == refused[1]
    status = (
        '{"metadata":{"annotations":{"a":"b"}},"status":{"phase":"Succeeded","updated":0,"conditions":[CONDITION]}}'.replace(
            "CONDITION", '{"type":"Ready","status":"True","reason":"Succeeded","observedGeneration":1}'
        )
    )
    for each in (kubectl, real):
        each("patch", "ipr/case-0", "--subresource=status", "--type=merge", f"-p={status}")
        each("wait", "--for=condition=Ready", "ipr/case-0", "--timeout=10s")
        each("label", "ipr/case-1", "a=b")
        each("patch", "ipr/case-1", "--type=merge", '-p={"spec":{"paused":true},"status":{"phase":"Failed"}}')
    metas = [[each.get(f"ipr/case-{i}")["metadata"] for i in (0, 1)] for each in (kubectl, real)]
    assert [[(m["generation"], "annotations" in m) for m in each] for each in metas] == [[(1, False), (2, False)]] * 2
    for words in (("ipr",), ("inplace",), ("ipr", "case-0", "-o=wide")):
        shown = [[re.sub(r"\d+[smh]+\b", "AGE", line) for line in each("get", *words).splitlines()] for each in (kubectl, real)]
        assert [line.split() for line in shown[0]] == [line.split() for line in shown[1]], words
