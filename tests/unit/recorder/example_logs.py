"""Writes logs by hand: a namespace with a Deployment, its pods and a slice, in which one thing after another happens."""

import copy
from typing import Any

from tests.recorder.log import RECORD, Event, Object, event

GATE = "inplace.dev/ready"


class ExampleLog:
    """Each call is one more version of one object. Times stand still unless `tick` says otherwise."""

    def __init__(self, pods: int = 2) -> None:
        self.events: list[Event] = []
        self.now = 0
        self.objects: dict[str, Object] = {}
        self.put("Deployment", "web", {"spec": {"replicas": pods, "selector": {"matchLabels": {"app": "web"}}}})
        self.put("ReplicaSet", "web-1", {"spec": {"replicas": pods}}, owner="uid-web")
        for number in range(pods):
            self.add_pod(f"p{number}")
        self.put("EndpointSlice", "web-x", {"endpoints": []})
        self.objects["web-x"]["metadata"]["labels"] = {"kubernetes.io/service-name": "web"}
        for number in range(pods):
            self.slice(f"p{number}", True)

    def put(self, kind: str, name: str, body: Object, owner: str | None = None) -> None:
        meta: Object = {"name": name, "uid": f"uid-{name}", "managedFields": []}
        if owner:
            meta["ownerReferences"] = [{"uid": owner, "controller": True}]
        self.objects[name] = {"metadata": meta, **body}
        self.log(kind, name, "ADDED")

    def log(self, kind: str, name: str, type_: str = "MODIFIED") -> int:
        obj = self.objects[name]
        obj["metadata"]["resourceVersion"] = str(len(self.events) + 1)
        self.events.append(event(kind, type_, copy.deepcopy(obj), 0.0))
        return len(self.events)

    def add_pod(self, name: str) -> None:
        conditions = [{"type": GATE, "status": "True"}, {"type": "Ready", "status": "True"}]
        status = {"podIP": f"10.0.0.{len(self.events)}", "phase": "Running", "observedGeneration": 1, "conditions": conditions}
        status["containerStatuses"] = [
            {"name": c, "containerID": f"{name}-{c}-1", "restartCount": 0, "ready": True, "state": {"running": {}}}
            for c in ("app", "side")
        ]
        spec = {"containers": [{"name": "app", "image": "app:1"}, {"name": "side", "image": "side:1"}]}
        self.put("Pod", name, {"spec": spec, "status": status})
        self.objects[name]["metadata"].update(generation=1, labels={"app": "web"}, annotations={})
        self.log("Pod", name)

    def wrote(self, name: str, manager: str, subresource: str = "", fields: object = None) -> None:
        listed = self.objects[name]["metadata"]["managedFields"]
        listed[:] = [e for e in listed if (e["manager"], e["subresource"]) != (manager, subresource)]
        entry = {"manager": manager, "operation": "Update", "subresource": subresource, "time": self.now, "fieldsV1": fields}
        listed.append(entry)

    def tick(self) -> None:
        self.now += 1

    def condition(self, name: str, kind: str, status: str) -> None:
        for found in self.objects[name]["status"]["conditions"]:
            if found["type"] == kind:
                found["status"] = status

    def gate(self, name: str, status: str, record: str | None = None, manager: str = "inplace") -> int:
        """A status write of the gate and the record."""
        self.condition(name, GATE, status)
        notes = self.objects[name]["metadata"]["annotations"]
        notes.pop(RECORD, None)
        if record:
            notes[RECORD] = record
        self.wrote(name, manager, "status", {"record": record})
        return self.log("Pod", name)

    def ready(self, name: str, status: str) -> int:
        """The kubelet's word on the pod."""
        self.condition(name, "Ready", status)
        self.wrote(name, "kubelet", "status")
        return self.log("Pod", name)

    def slice(self, name: str, ready: bool | None, **target: Any) -> int:
        """What the slice says of a pod. None leaves the word out."""
        endpoints = [e for e in self.objects["web-x"]["endpoints"] if e["name"] != name]
        conditions = {} if ready is None else {"ready": ready}
        addresses = [self.objects[name]["status"]["podIP"]]
        entry = {"name": name, "addresses": addresses, "conditions": conditions, "targetRef": {"uid": f"uid-{name}"}, **target}
        self.objects["web-x"]["endpoints"] = [*endpoints, entry]
        return self.log("EndpointSlice", "web-x")

    def image(self, name: str, image: str, container: int = 0) -> int:
        obj = self.objects[name]
        obj["spec"]["containers"][container]["image"] = image
        obj["metadata"]["generation"] += 1
        self.wrote(name, "inplace", "", {"image": image})
        return self.log("Pod", name)

    def restart(self, name: str, container: int = 0, seen: bool = True, **status: object) -> int:
        found = self.objects[name]["status"]["containerStatuses"][container]
        found["restartCount"] += 1
        found["containerID"] = f"{name}-{found['name']}-{found['restartCount'] + 1}"
        found.update(status)
        if seen:
            self.objects[name]["status"]["observedGeneration"] = self.objects[name]["metadata"]["generation"]
        self.wrote(name, "kubelet", "status")
        return self.log("Pod", name)

    def drain(self, name: str) -> None:
        self.gate(name, "False", "{1}")
        self.ready(name, "False")
        self.slice(name, False)

    def upgrade(self, name: str) -> None:
        """One pod, as it should be."""
        self.drain(name)
        self.image(name, "app:2")
        self.restart(name)
        self.back(name)

    def back(self, name: str) -> None:
        self.gate(name, "True")
        self.ready(name, "True")
        self.slice(name, True)
