"""Runs Kubernetes' controllers and scheduler on an API server, and kwok, which plays nodes and their pods.

Each pod is bound to a node and said to run and to be ready, by the state machine of kwok; nothing is started.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import httpx
import pytest
import stamina

from helm.tools import find_kubernetes
from tests.helm.api_server import ApiServer, program
from tests.helm.rendering import Object

REGIONS: Final = ("beijing", "shanghai", "shenzhen")
"""The regions of the played nodes, one node each: examples have the pods of a cluster run in one of them."""
VOLUMES: Final = 6
"""The number of volumes of each class that claims of the chart can be bound to."""
CLASSES: Final = ("", "fast")
"""The classes of volumes that examples name, and the one of a claim that names none."""


@contextmanager
def played_nodes(server: ApiServer, folder: Path) -> Iterator[None]:
    """Runs what makes pods of the objects on `server`, and has them run; ready when the nodes are."""
    found = find_kubernetes()
    if found is None:
        pytest.skip("needs Kubernetes' controllers and kwok: `make kubernetes`")
    alone = [f"--kubeconfig={server.kubeconfig}", "--leader-elect=false", "--secure-port=0"]
    nodes = ["--manage-all-nodes=true", "--node-lease-duration-seconds=40"]
    stages = [f"--config={stage}" for stage in sorted((found / "stages").glob("*.yaml"))]
    with ExitStack() as stack:
        for name, words in (
            ("kube-controller-manager", alone),
            ("kube-scheduler", alone),
            ("kwok", [f"--kubeconfig={server.kubeconfig}", *nodes, *stages]),
        ):
            stack.enter_context(program(folder / f"{name}.log", found / name, *words))
        for made in (
            *map(_node, REGIONS),
            *(_volume(number, name) for number in range(VOLUMES) for name in CLASSES),
        ):
            assert server.apply(made, dry_run=False) == ""
        for attempt in stamina.retry_context(on=AssertionError, attempts=None, timeout=60, wait_max=0.5):
            with attempt:
                assert all(_is_ready(node) for node in server.listed_everywhere("nodes"))
        yield


def _node(region: str) -> Object:
    metadata = {
        "name": f"node-{region}",
        "labels": {
            "topology.kubernetes.io/region": region,
            "topology.kubernetes.io/zone": f"{region}-a",
            "kubernetes.io/hostname": f"node-{region}",
        },
        "annotations": {"kwok.x-k8s.io/node": "fake"},
    }
    return {"apiVersion": "v1", "kind": "Node", "metadata": metadata}


def _volume(number: int, storage_class: str) -> Object:
    spec = {
        "storageClassName": storage_class,
        "capacity": {"storage": "1Ti"},
        "accessModes": ["ReadWriteOnce"],
        "hostPath": {"path": f"/volumes/{number}"},
    }
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": f"volume-{storage_class or 'any'}-{number}"},
        "spec": spec,
    }


def _is_ready(node: Object) -> bool:
    conditions = node.get("status", {}).get("conditions", [])
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def ready_pods(server: ApiServer) -> dict[str, str]:
    """Returns the ready pods by name, each with the hash of the template that it was made from."""
    return {
        pod["metadata"]["name"]: pod["metadata"]["labels"].get(
            "controller-revision-hash", pod["metadata"]["labels"].get("pod-template-hash", "")
        )
        for pod in server.listed("api/v1", "pods")
        if _is_ready(pod) and "deletionTimestamp" not in pod["metadata"]
    }


def wait_until_gone(server: ApiServer) -> None:
    """Waits until the namespace has no pods; raises `AssertionError` after a minute."""
    for attempt in stamina.retry_context(
        on=(AssertionError, httpx.HTTPError), attempts=None, timeout=60, wait_max=0.5
    ):
        with attempt:
            assert server.listed("api/v1", "pods") == []
