"""The sub-resources that only Pods have: binding, eviction and log."""

from krake.simulator.kubernetes import status as statuses
from krake.simulator.kubernetes.calls import Call
from krake.simulator.kubernetes.kinds import Object
from krake.simulator.kubernetes.resources import Resources
from krake.simulator.kubernetes.workloads.pods import bind, stage


def bind_pod(call: Call, resources: Resources) -> Object:
    """Put a Pod on the node that the body names."""
    document = call.document()
    target = document.get("target") if isinstance(document, dict) else None
    name = target.get("name") if isinstance(target, dict) else None
    pod = resources.get(call.kind, call.key)
    node = resources.storage.get("nodes", ("", str(name)))
    if node is None:
        raise statuses.bad_request(f'the node "{name}" that the Pod shall run on does not exist')
    if pod["spec"].get("nodeName"):
        text = f'pod {call.key[1]} is already assigned to node "{pod["spec"]["nodeName"]}"'
        raise statuses.conflict(call.kind, call.key[1], text)
    resources.put(call.kind, bind(pod, [node], 0, resources.now()))
    return _done()


def evict_pod(call: Call, resources: Resources) -> Object:
    resources.delete(call.kind, call.key, call.deletion())
    return _done()


def pod_log(call: Call, resources: Resources) -> str:
    pod = resources.get(call.kind, call.key)
    return f"krake-simulator: {call.key[1]} is {stage(pod)}; no container runs here, so there is no real log\n"


def _done() -> Object:
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}
