"""Runs a gateway, three clusters and an OPA as containers on one network, and kills a cluster at work.

Needs a container engine and the image (`make image`); with `--opa` the path of an OPA program, of which an
image is made here. Containers run as an ordinary user, with a read-only root, without capabilities. Exits
non-zero unless every shard of the run is finished once, also those of the killed cluster.
"""

import argparse
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import time
import uuid
from collections import Counter
from pathlib import Path
from typing import Any, Final

from gateway.cli.dev.stack_opa import KEY_ID, polling_configuration
from gateway.identity.development_issuer import mint_token
from gateway.policy.bundle import SHIPPED_POLICIES, read_bundle
from gateway.policy.opa.bundle_archive import pack_bundle
from gateway.policy.opa.bundle_signature import make_signing_key, public_half, read_signing_key, sign
from waypost.pki import authority
from waypost.tls import cluster_credentials

REGIONS: Final = ("beijing", "shanghai", "shenzhen")
USER: Final = os.getuid() or 10001
"""The user of the containers: the caller, or that of the image where root runs this."""
STATE: Final = "/var/lib/waypost"
SCOPES: Final = ("workflows:submit", "workflows:read", "regions:read")
LIMIT_SECONDS: Final = 120.0
WORK: Final[dict[str, Any]] = {
    "apiVersion": "waypost/v1",
    "kind": "Workflow",
    "metadata": {"name": "containers"},
    "spec": {
        "shards": {"count": 9},
        "placement": {"spread": True},
        "tasks": [
            {"name": "first", "type": "process", "run": {"command": ["sleep", "2"]}},
            {
                "name": "second",
                "type": "process",
                "run": {"command": ["sh", "-c", 'sleep 4; echo 1 > "$WAYPOST_OUTPUT"']},
                "needs": ["first"],
            },
        ],
    },
}


class Containers:
    """The containers, network and images of one demonstration; `remove` takes them all away."""

    def __init__(self, engine: str, image: str) -> None:
        self._engine, self._image = engine, image
        self.name = f"waypost-{uuid.uuid4().hex[:8]}"
        self._made, self._images = list[str](), list[str]()
        self.call("network", "create", "--internal", self.name)

    def call(self, *words: str, given: bytes = b"") -> str:
        """Runs a command of the engine; returns what it printed. Exits with its error if it fails."""
        done = subprocess.run([self._engine, *words], input=given, capture_output=True, check=False)
        if done.returncode:
            sys.exit(f"{self._engine} {words[0]}: {done.stderr.decode().strip()}")
        return done.stdout.decode().strip()

    def start(
        self, name: str, mounts: dict[Path, str], arguments: list[str], *, image: str = "", home: str = STATE
    ) -> None:
        """Starts a container that is reached as `name` on the network; `mounts` are folders of the host."""
        volumes = [word for host, inside in mounts.items() for word in ("-v", f"{host}:{inside}")]
        self._made.append(f"{self.name}-{name}")
        self.call(
            *("run", "-d", "--name", self._made[-1], "--network", self.name, "--network-alias", name),
            *("--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--user", f"{USER}:{USER}"),
            *("--security-opt", "no-new-privileges", "-e", f"HOME={home}", *volumes),
            *(image or self._image, *arguments),
        )

    def opa_image(self, program: Path) -> str:
        """Makes an image with nothing but an OPA program; returns its name."""
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as tar:
            tar.add(program, "opa")
        self._images.append(f"{self.name}-opa")
        self.call("import", "-c", 'ENTRYPOINT ["/opa"]', "-", self._images[-1], given=archive.getvalue())
        return self._images[-1]

    def waypost(self, *words: str, token: str, given: bytes = b"") -> Any:
        """Runs a command of `waypost` in the gateway's container; returns the JSON that it prints."""
        inside = ["waypost", *words, "--url", "http://127.0.0.1:8080", "-o", "json"]
        made = f"{self.name}-gateway"
        return json.loads(
            self.call("exec", "-i", "-e", f"WAYPOST_TOKEN={token}", made, *inside, given=given) or "null"
        )

    def is_ready(self) -> bool:
        """Returns whether the gateway's container is healthy, by the image's own health check."""
        words = ("exec", f"{self.name}-gateway", "waypost", "healthcheck")
        return subprocess.run([self._engine, *words], capture_output=True, check=False).returncode == 0

    def kill(self, name: str) -> None:
        self.call("kill", f"{self.name}-{name}")

    def logs(self) -> str:
        """Returns the last lines of every container's log."""
        texts = (
            subprocess.run([self._engine, "logs", "--tail", "5", name], capture_output=True, check=False)
            for name in self._made
        )
        return "\n".join((text.stdout + text.stderr).decode(errors="replace") for text in texts)

    def remove(self) -> None:
        for words in (["rm", "-f", "-v", *self._made], ["network", "rm", self.name], ["rmi", *self._images]):
            subprocess.run([self._engine, *words], capture_output=True, check=False)


def prepare(folder: Path, *, opa: bool) -> None:
    """Writes certificates, settings and, for an OPA, a signed bundle for the containers' user."""
    gateway, pki = folder / "gateway", folder / "pki"
    for name in ("gateway", "pki", "opa", *REGIONS):
        (folder / name).mkdir()
    authority.create_root(pki)
    authority.issue_gateway(pki)
    for region in REGIONS:
        issued, own = authority.issue_cluster(pki, region), folder / region / "pki"
        given = cluster_credentials(own, region)
        given.certificate.parent.mkdir(parents=True)
        given.root.write_bytes(issued.root.read_bytes())
        issued.key.rename(given.key)
        issued.certificate.rename(given.certificate)
    (pki / "ca.key").unlink()
    settings = [
        f'store = "sqlite:{STATE}/gateway.db"',
        'pki = "/etc/waypost/pki"',
        f'development = "{STATE}/development"',
        'listen = { host = "0.0.0.0" }',
        'metrics = { host = "0.0.0.0", port = 9090 }',
    ]
    if opa:
        make_signing_key(folder / "policy.key")
        key = read_signing_key(folder / "policy.key", KEY_ID)
        public, bundle = public_half(key), pack_bundle(read_bundle(SHIPPED_POLICIES, None), sequence=0)
        (gateway / "bundle.tar.gz").write_bytes(sign(bundle, key))
        (gateway / "policy.pub").write_text(public)
        configuration = polling_configuration("http://gateway:9090", public)
        (folder / "opa" / "opa.json").write_text(json.dumps(configuration))
        settings += [
            "[policy]",
            'engine = "opa+unix:/run/opa/opa.sock"',
            "deadline_seconds = 1.0",
            f'bundle = "{STATE}/bundle.tar.gz"',
            f'bundle_key = "{STATE}/policy.pub"',
            f'bundle_key_id = "{KEY_ID}"',
        ]
    for region in REGIONS:
        settings += ["[[regions]]", f'name = "{region}"', f'url = "embedded+https://{region}:7101"']
    (gateway / "gateway.toml").write_text("\n".join(settings) + "\n")
    if os.getuid() == 0:
        for path in (folder, *folder.rglob("*")):
            os.chown(path, USER, USER)


def start(containers: Containers, folder: Path, opa: Path | None) -> None:
    """Starts the clusters, the gateway and, where one is given, the OPA beside it."""
    for region in REGIONS:
        containers.start(
            region,
            {folder / region: STATE},
            [
                *("cluster", "--region", region, "--state", f"{STATE}/state", "--pki", f"{STATE}/pki"),
                *("--host", "0.0.0.0", "--cpu", "8"),
            ],
        )
    mounts = {folder / "gateway": STATE, folder / "pki": "/etc/waypost/pki", folder / "opa": "/run/opa"}
    containers.start("gateway", mounts, ["gateway", "--config", f"{STATE}/gateway.toml"])
    if opa is not None:
        containers.start(
            "opa",
            {folder / "opa": "/run/opa"},
            [
                *("run", "--server", "--addr=unix:///run/opa/opa.sock", "--unix-socket-perm=700"),
                *("--config-file=/run/opa/opa.json", "--skip-version-check", "--log-level=error"),
            ],
            image=containers.opa_image(opa),
            home="/tmp",
        )


def wait_for(what: str, look: Any) -> Any:
    """Calls `look` until it returns something, and returns that; exits after `LIMIT_SECONDS`."""
    until = time.monotonic() + LIMIT_SECONDS
    while not (found := look()):
        if time.monotonic() > until:
            sys.exit(f"not within {LIMIT_SECONDS:g} s: {what}")
        time.sleep(0.5)
    return found


def demonstrate(containers: Containers, token: str) -> bool:
    """Submits a run, kills the busiest cluster, and returns whether the run is complete."""

    def healthy() -> bool:
        listed = containers.waypost("regions", token=token)
        return all(region["condition"] == "Healthy" for region in listed)

    def described() -> Any:
        return containers.waypost("describe", run, token=token)

    def busy() -> str:
        found = Counter(
            shard["region"] for shard in described()["shards"] if shard["phase"] == "Running"
        ).most_common(1)
        return found[0][0] if found else ""

    wait_for("every region Healthy", healthy)
    run = containers.waypost("submit", "-", token=token, given=json.dumps(WORK).encode())["id"]
    decision = containers.waypost("explain", run, token=token)["decisions"][0]
    print(f"accepted {run}, decided by {decision['engine']}, revision {decision['revision']}")
    lost = wait_for("a region at work", busy)
    containers.kill(lost)
    print(f"killed the container of {lost}")

    def over() -> Any:
        found = described()
        return found if found["phase"] in ("Succeeded", "Failed", "Cancelled") else None

    found = wait_for("the end of the run", over)
    moved = sum(shard["failovers"] for shard in found["shards"])
    print(
        f"{found['phase']}: shards {found['shard_phases']}, tasks {found['task_phases']}; {moved} were moved"
    )
    return bool(found["phase"] == "Succeeded" and found["task_phases"] == {"Succeeded": 18} and moved)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", default="docker", help="the command of the container engine")
    parser.add_argument("--image", default="waypost:0.1.0")
    parser.add_argument("--opa", type=Path, help="an OPA program: policy is decided by it, in a container")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="waypost-containers-") as name:
        folder = Path(name)
        prepare(folder, opa=arguments.opa is not None)
        containers = Containers(arguments.engine, arguments.image)
        try:
            start(containers, folder, arguments.opa)
            wait_for("the gateway is ready", containers.is_ready)
            issuer = folder / "gateway" / "development"
            token = mint_token(issuer, subject="demo", tenant="demo", scopes=SCOPES)
            complete = demonstrate(containers, token)
            if not complete:
                print(containers.logs())
            return 0 if complete else 1
        finally:
            containers.remove()


if __name__ == "__main__":
    sys.exit(main())
