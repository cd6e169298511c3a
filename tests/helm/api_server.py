"""Runs a real API server of Kubernetes with an etcd, for tests; they are skipped where there is none.

`make kubernetes` builds it, which takes a quarter of an hour. There are no controllers and no nodes: objects
are checked, defaulted, admitted and stored, and no pod is started (`played_nodes.py` has these).
"""

import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import stamina
import yaml
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from helm.tools import find_kubernetes
from tests.helm.rendering import Object
from waypost.pki.certificates import new_key

TOKEN: Final = "of-the-test"
NAMESPACE: Final = "wp"


class Loader(yaml.CSafeLoader):
    """Reads `=` as text, as Kubernetes does; YAML 1.1 has a type for it."""


Loader.yaml_implicit_resolvers = {
    letter: [one for one in resolvers if one[0] != "tag:yaml.org,2002:value"]
    for letter, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class ApiServer:
    """A running API server: a client as its administrator, and a file that Helm reads where it is."""

    def __init__(self, port: int, folder: Path) -> None:
        self.url, self.kubeconfig = f"https://127.0.0.1:{port}", folder / "kubeconfig"
        cluster = {"server": self.url, "insecure-skip-tls-verify": True}
        configuration = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": "test", "user": {"token": TOKEN}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
            "current-context": "test",
        }
        self.kubeconfig.write_text(yaml.safe_dump(configuration))
        self.kubeconfig.chmod(0o600)
        headers = {"authorization": f"Bearer {TOKEN}"}
        # Its certificate is made at the start, and the address is this machine's own.
        self.client = httpx.Client(
            base_url=self.url, headers=headers, verify=False, timeout=30, trust_env=False
        )
        self._resources: dict[str, dict[str, tuple[str, bool]]] = {}

    def apply(self, made: Object, *, dry_run: bool) -> str:
        """Applies an object on the server, strictly; returns what the server has against it, or nothing."""
        path = f"{self._path(made)}/{made['metadata']['name']}"
        options = {"fieldManager": "test", "fieldValidation": "Strict"} | (
            {"dryRun": "All"} if dry_run else {}
        )
        kind = {"content-type": "application/apply-patch+yaml"}
        answer = self.client.patch(path, params=options, headers=kind, content=yaml.safe_dump(made))
        return "" if answer.is_success else f"{made['kind']} {made['metadata']['name']}: {answer.text}"

    def listed(self, group: str, resource: str) -> list[Any]:
        answer = self.client.get(f"/{group}/namespaces/{NAMESPACE}/{resource}").raise_for_status()
        return list(answer.json()["items"])

    def listed_everywhere(self, resource: str) -> list[Any]:
        """Returns the objects of a kind that is in no namespace, such as nodes."""
        return list(self.client.get(f"/api/v1/{resource}").raise_for_status().json()["items"])

    def _path(self, made: Object) -> str:
        version: str = made["apiVersion"]
        group = f"/apis/{version}" if "/" in version else f"/api/{version}"
        if group not in self._resources or made["kind"] not in self._resources[group]:
            found = self.client.get(group).raise_for_status().json()["resources"]
            self._resources[group] = {
                one["kind"]: (one["name"], one["namespaced"]) for one in found if "/" not in one["name"]
            }
        name, namespaced = self._resources[group][made["kind"]]
        namespace = made["metadata"].get("namespace", NAMESPACE)
        return f"{group}/namespaces/{namespace}/{name}" if namespaced else f"{group}/{name}"


@contextmanager
def program(log: Path, *words: str | Path) -> Iterator[None]:
    """Runs a program, with its output in the file `log`, and ends it after the `with` block."""
    with log.open("wb") as output:
        process = subprocess.Popen([*map(str, words)], stdout=output, stderr=output, cwd=log.parent)
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def api_server(folder: Path) -> Iterator[ApiServer]:
    """Runs etcd and an API server that has the types of `make kubernetes`: of operators and of Istio."""
    found, etcd = find_kubernetes(), shutil.which("etcd")
    if found is None or etcd is None:
        pytest.skip("needs an API server and etcd: `make kubernetes`")
    store, peer, port = (f"http://127.0.0.1:{free_port()}", f"http://127.0.0.1:{free_port()}", free_port())
    # The form of OpenSSL: PKCS 8 it does not read.
    form = (Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    (folder / "accounts.key").write_bytes(new_key().private_bytes(*form))
    (folder / "tokens.csv").write_text(f"{TOKEN},test,1,system:masters\n")
    keys = [f"--service-account-{use}-file={folder / 'accounts.key'}" for use in ("key", "signing-key")]
    with ExitStack() as stack:
        addresses = [f"--listen-client-urls={store}", f"--advertise-client-urls={store}"]
        peers = [f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}"]
        cluster = [f"--initial-cluster=default={peer}", f"--data-dir={folder / 'etcd'}"]
        stack.enter_context(program(folder / "etcd.log", etcd, *addresses, *peers, *cluster))
        where = [f"--etcd-servers={store}", "--bind-address=127.0.0.1", f"--secure-port={port}"]
        who = [f"--token-auth-file={folder / 'tokens.csv'}", "--authorization-mode=RBAC", *keys]
        rest = ["--service-account-issuer=https://test.invalid", "--service-cluster-ip-range=10.0.0.0/24"]
        last = ["--endpoint-reconciler-type=none", f"--cert-dir={folder / 'certificates'}"]
        words: list[str | Path] = [
            found / "kube-apiserver",
            *where,
            *who,
            *rest,
            *last,
            "--disable-admission-plugins=ServiceAccount",
        ]
        stack.enter_context(program(folder / "api-server.log", *words))
        server = ApiServer(port, folder)
        stack.enter_context(server.client)
        _prepare(server, found)
        yield server


def _prepare(server: ApiServer, found: Path) -> None:
    for attempt in stamina.retry_context(on=httpx.HTTPError, attempts=None, timeout=60, wait_max=0.5):
        with attempt:
            server.client.get("/readyz").raise_for_status()
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    # An example names it.
    priority = {
        "apiVersion": "scheduling.k8s.io/v1",
        "kind": "PriorityClass",
        "metadata": {"name": "important"},
    }
    for made in (namespace, priority | {"value": 1_000}):
        assert server.apply(made, dry_run=False) == ""
    kinds = []
    for path in sorted((found / "types").glob("*.yaml")):
        for made in yaml.load_all(path.read_text(), Loader):
            if made:
                assert server.apply(made, dry_run=False) == ""
                kinds.append(f"/apis/{made['spec']['group']}/{made['spec']['versions'][0]['name']}")
    for attempt in stamina.retry_context(on=httpx.HTTPError, attempts=None, timeout=60, wait_max=0.5):
        with attempt:
            for kind in kinds:
                server.client.get(kind).raise_for_status()
