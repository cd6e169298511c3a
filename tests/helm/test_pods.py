"""Tests that the pods of a release run: gateway, OPA and cluster as rendered, up to a run that succeeds."""

import os
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from gateway.cli.dev.opa_program import find_opa
from gateway.policy.bundle import SHIPPED_POLICIES, read_bundle
from gateway.policy.opa.bundle_archive import pack_bundle
from gateway.policy.opa.bundle_signature import make_signing_key, public_half, read_signing_key, sign
from tests.helm.pod import ROOT, USER, container, network
from tests.helm.rendering import EXAMPLES, Object, containers, named, rendered
from waypost.pki import authority

pytestmark = [pytest.mark.integration, pytest.mark.opa]


@pytest.fixture
def secrets(tmp_path: Path) -> dict[str, dict[str, Path]]:
    """The Secrets that the example names, each with the files of its keys."""
    folder = tmp_path / "pki"
    authority.create_root(folder)
    issued = {
        "waypost-gateway-pki": authority.issue_gateway(folder),
        "waypost-beijing-pki": authority.issue_cluster(folder, "beijing"),
        "waypost-api-tls": authority.issue_api(folder, ["127.0.0.1"]),
    }
    return {
        name: {"ca.crt": pair.root, "tls.crt": pair.certificate, "tls.key": pair.key}
        for name, pair in issued.items()
    }


class Volumes:
    """The volumes of pods as Kubernetes makes them: they belong to root, and to the group of the pods."""

    def __init__(self, folder: Path, objects: list[Object], secrets: dict[str, dict[str, Path]]) -> None:
        self._folder, self._objects, self._secrets = folder, objects, secrets
        self.bundle: Path

    def of(self, stateful_set: Object) -> dict[str, Path]:
        spec = stateful_set["spec"]
        claims = [{"name": one["metadata"]["name"]} for one in spec["volumeClaimTemplates"]]
        volumes = [*claims, *spec["template"]["spec"]["volumes"]]
        return {one["name"]: self._made(stateful_set["metadata"]["name"], one) for one in volumes}

    def _made(self, owner: str, volume: Object) -> Path:
        folder: Path = self._folder / owner / volume["name"]
        folder.mkdir(parents=True)
        if "secret" in volume:
            keys = self._secrets[volume["secret"]["secretName"]]
            assert volume["secret"]["defaultMode"] == 0o440
            for item in volume["secret"]["items"]:
                self._put(folder / item["path"], keys[item["key"]].read_bytes(), 0o440)
        elif volume.get("configMap", {}).get("name") == "waypost-first-bundle":
            self._put(folder / "policy.tar.gz", self.bundle.read_bytes(), 0o644)
        elif "configMap" in volume:
            for name, text in named(self._objects, "ConfigMap", volume["configMap"]["name"])["data"].items():
                self._put(folder / name, text.encode(), 0o644)
        mode = 0o755 if "secret" in volume or "configMap" in volume else 0o2775
        os.chown(folder, 0, USER)
        folder.chmod(mode)
        return folder

    @staticmethod
    def _put(path: Path, content: bytes, mode: int) -> None:
        path.parent.mkdir(exist_ok=True)
        path.parent.chmod(0o755)
        path.write_bytes(content)
        os.chown(path, 0, USER)
        path.chmod(mode)


def first_bundle(folder: Path) -> tuple[Path, Path]:
    """Makes the rules that ship into a signed bundle; returns its path, and that of the public key."""
    public, archive = folder / "policy.pub", folder / "policy.tar.gz"
    make_signing_key(folder / "policy.key")
    key = read_signing_key(folder / "policy.key", "waypost")
    public.write_text(public_half(key))
    archive.write_bytes(sign(pack_bundle(read_bundle(SHIPPED_POLICIES, None)), key))
    return archive, public


def one_named(objects: list[Object], name: str) -> Object:
    (found,) = (one for one in containers(objects) if one["name"] == name)
    return found


def logs(folder: Path) -> str:
    return "".join(f"--- {path.name}\n{path.read_text()[-3_000:]}" for path in sorted(folder.glob("*.log")))


def test_a_release_runs_what_is_submitted(
    chart: Path, tmp_path: Path, secrets: dict[str, dict[str, Path]]
) -> None:
    """As user 10001 with no rights, on read-only roots, with the files of its Secrets, decided by OPA."""
    tmp_path.chmod(0o755)
    archive, public = first_bundle(tmp_path)
    (values,) = (path for path in EXAMPLES if path.stem == "opa")
    options = ["--set-file", f"policy.publicKey={public}", "--set", "gateway.development=true"]
    objects = rendered(chart, "--values", values, *options, "--set-json", "gateway.settings.issuers=[]")
    volumes = Volumes(tmp_path, objects, secrets)
    volumes.bundle = archive
    of_gateway = volumes.of(named(objects, "StatefulSet", "waypost-gateway"))
    of_cluster = volumes.of(named(objects, "StatefulSet", "waypost-cluster-beijing"))
    waypost = str(Path(sys.prefix) / "bin" / "waypost")
    programs = {"waypost": waypost, "opa": str(find_opa())}
    hosts = ["waypost-cluster-beijing.wp.svc"]
    with ExitStack() as stack:
        net = stack.enter_context(network())
        run = stack.enter_context
        started = {
            name: run(
                container(
                    net,
                    one_named(objects, name),
                    mounts,
                    log=tmp_path / f"{name}.log",
                    programs=programs,
                    hosts=hosts,
                )
            )
            for name, mounts in (("cluster", of_cluster), ("opa", of_gateway), ("gateway", of_gateway))
        }
        ready = net.run(waypost, "healthcheck", "--timeout=60")
        assert ready.returncode == 0, f"{ready.stderr}\n{logs(tmp_path)}"
        assert "[+] policy: " in ready.stdout
        mint = [waypost, "token", "mint", "--dev", "--folder", str(of_gateway["store"] / "development")]
        environment = {
            "WAYPOST_URL": "https://127.0.0.1:8080",
            "WAYPOST_CA": str(secrets["waypost-api-tls"]["ca.crt"]),
            "WAYPOST_TOKEN": net.run(*mint).stdout.strip(),
        }
        given = [f"{name}={value}" for name, value in environment.items()]
        done = net.run("env", *given, waypost, "submit", str(ROOT / "examples" / "hello.yaml"), "--watch")
        assert done.returncode == 0, f"{done.stderr}\n{logs(tmp_path)}"
    assert {name: process.returncode for name, process in started.items() if name != "opa"} == {
        "cluster": 0,
        "gateway": 0,
    }
