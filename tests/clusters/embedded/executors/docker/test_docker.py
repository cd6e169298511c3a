"""Tests `docker` tasks on a real Docker Engine and a real podman service."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from clusters.embedded.executors.docker.container import CLUSTER_LABEL, DockerSettings
from clusters.embedded.executors.docker.executor import DockerExecutor
from clusters.embedded.executors.interface import Executor, ExecutorContext
from clusters.embedded.executors.process.sandbox.task_user import FIRST_USER
from clusters.embedded.node import ClusterNode
from clusters.embedded.node_settings import ClusterNodeSettings
from clusters.embedded.scheduling.launch import Outcome
from clusters.embedded.secrets.values import Secrets
from tests.clusters.embedded.executors.docker.engines import RealEngine
from tests.clusters.embedded.working_node import finished, start
from tests.conformance.executor import ExecutorConformance, folders, launch
from waypost.workflow.secrets import SecretSpec
from waypost.workflow.task import Resources, TaskSpec

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("engines")]


def docker(engine: RealEngine, workspaces: Path, **settings: Any) -> DockerExecutor:
    context = ExecutorContext(region="beijing", workspaces=workspaces)
    return DockerExecutor(context, DockerSettings(socket=engine.socket, **settings))


@pytest.fixture
async def executor(engine: RealEngine, tmp_path: Path) -> AsyncIterator[DockerExecutor]:
    async with docker(engine, tmp_path, grace_seconds=0) as executor:
        yield executor


def left(engine: RealEngine, workspaces: Path) -> int:
    return len(engine.containers(f"{CLUSTER_LABEL}={workspaces.resolve()}"))


def shell(engine: RealEngine, script: str, **more: Any) -> dict[str, Any]:
    return {"image": engine.image, "command": ["sh", "-c", script], **more}


class TestDocker(ExecutorConformance):
    type = "docker"
    starts = 1

    @pytest.fixture(autouse=True)
    def runs(self, engine: RealEngine) -> None:
        self.engine = engine
        self.settings = {"socket": engine.socket, "grace_seconds": 0}
        self.quick = {"image": engine.image, "command": ["true"]}
        self.endless = shell(engine, "sleep 300 & sleep 300")

    @pytest.fixture
    async def executor(self, executor: DockerExecutor) -> Executor:
        return executor

    def alive(self, root: Path) -> int:
        return left(self.engine, root)


async def tried(
    executor: DockerExecutor, root: Path, run: dict[str, Any], memory: int | None = None
) -> Outcome:
    made = launch("docker", run)
    made = structs.replace(
        made,
        input={"params": {"day": 7}},
        task=structs.replace(made.task, resources=Resources(memory_mib=memory)),
    )
    return await executor.execute(made, folders(root), None)


async def test_a_container_gets_input_workspace_and_output(
    executor: DockerExecutor, engine: RealEngine, tmp_path: Path
) -> None:
    (folders(tmp_path).workspace / "before").write_text("earlier\n")
    script = 'cat "$WAYPOST_INPUT" before; echo made > after; echo oops >&2; '
    script += 'echo "{\\"n\\": 3}" > "$WAYPOST_OUTPUT"'
    outcome = await tried(
        executor, tmp_path, shell(engine, script + '; echo " $WAYPOST_TASK $A"', env={"A": 1})
    )
    assert outcome == Outcome(succeeded=True, output={"n": 3})
    assert (folders(tmp_path).workspace / "after").read_text() == "made\n"
    log = folders(tmp_path).log.read_text()
    assert '{"params":{"day":7}}earlier\n' in log
    assert "oops\n" in log
    assert " a 1\n" in log
    assert left(engine, tmp_path) == 0


async def test_a_container_has_no_rights_and_no_network(
    executor: DockerExecutor, engine: RealEngine, tmp_path: Path
) -> None:
    """Nothing but the workspace and /tmp can be written, and there is no interface but its own loopback."""
    script = """
    id -u; touch /x 2>&1; touch /tmp/x "$WAYPOST_WORKSPACE"/x && echo both
    grep -E '^(CapEff|CapBnd|NoNewPrivs):' /proc/self/status; ls /sys/class/net; exit 4
    """
    outcome = await tried(executor, tmp_path, shell(engine, script))
    assert outcome.reason == "exit code 4"
    log = folders(tmp_path).log.read_text()
    assert "Read-only file system" in log
    assert "both" in log
    assert int(log.splitlines()[0]) >= FIRST_USER
    assert "CapEff:\t0000000000000000" in log
    assert "CapBnd:\t0000000000000000" in log
    assert "NoNewPrivs:\t1" in log
    assert log.splitlines()[-1].strip() == "lo"


async def test_a_container_gets_secrets_as_files_and_prints_none(
    executor: DockerExecutor, engine: RealEngine, tmp_path: Path
) -> None:
    """As variables an engine would store them, and show them to all who may ask it."""
    value = b"correct horse battery"
    made = launch("docker", shell(engine, 'cat "$WAYPOST_SECRETS/KEY"; touch "$WAYPOST_SECRETS/x" || exit 3'))
    secret = SecretSpec(name="KEY", source="a", form="file")
    made = structs.replace(made, secrets=Secrets([(secret, value)]))
    outcome = await executor.execute(made, folders(tmp_path), None)
    assert (outcome.reason, outcome.exit_code) == ("exit code 3", 3)
    log = folders(tmp_path).log.read_text()
    assert "***" in log  # before or behind what the other stream has
    assert not folders(tmp_path).secrets.exists()
    made = structs.replace(made, secrets=Secrets([(structs.replace(secret, form="env"), value)]))
    outcome = await executor.execute(made, folders(tmp_path), None)
    assert "take them `as: file`" in outcome.reason


async def test_memory_that_is_passed_is_the_reason(
    executor: DockerExecutor, engine: RealEngine, tmp_path: Path
) -> None:
    """podman does not say so itself."""
    outcome = await tried(executor, tmp_path, shell(engine, "x=a; while true; do x=$x$x; done"), memory=32)
    assert not outcome.lost
    said = {"docker": "out of memory: it passed", "podman": "killed by SIGKILL, as what passes"}[engine.kind]
    assert f"{said} its limit of 32 MiB" in outcome.reason
    assert outcome.exit_code == 137
    assert left(engine, tmp_path) == 0


@pytest.mark.parametrize(
    ("run", "reason"),
    [
        (
            {"image": "sha256:" + "0" * 64},
            "the image is not here, and the setting registries permits no download by",
        ),
        ({"image": f"ghcr.io/acme/x@sha256:{'0' * 64}"}, "permits no download from ghcr.io"),
        ({"command": ["nowhere"]}, "nowhere"),
        ({"network": "host"}, "the cluster's setting networks does not permit the network host"),
        ({"image": "busybox:latest"}, "run: "),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_what_cannot_run_says_why(
    executor: DockerExecutor, engine: RealEngine, tmp_path: Path, run: dict[str, Any], reason: str
) -> None:
    outcome = await tried(executor, tmp_path, shell(engine, "true") | run)
    assert (outcome.succeeded, outcome.lost) == (False, False)
    assert reason in outcome.reason
    assert left(engine, tmp_path) == 0


async def test_a_flood_of_output_is_bounded_and_delays_nobody(
    executor: DockerExecutor, engine: RealEngine, tmp_path: Path
) -> None:
    """The container waits while what it has printed is copied; its log keeps beginning and end."""
    flood = asyncio.create_task(tried(executor, tmp_path, shell(engine, "yes | head -c 24000000; echo last")))
    latest = 0.0
    while not flood.done():
        begin = time.monotonic()
        await asyncio.sleep(0.01)
        latest = max(latest, time.monotonic() - begin)
    assert (await flood).succeeded
    log = folders(tmp_path).log
    assert log.stat().st_size < 20_000_000
    assert log.read_bytes().endswith(b"last\n")
    assert latest < 2.0


async def test_twenty_four_containers_eight_at_a_time(engine: RealEngine, tmp_path: Path) -> None:
    """All succeed with outputs of their own, and nothing is left."""
    settings = ClusterNodeSettings(
        region="beijing", state=str(tmp_path), cpu=8.0, executors={"docker": {"socket": engine.socket}}
    )
    tasks = [
        TaskSpec(name=f"t{n}", type="docker", run=shell(engine, f'echo {n} > "$WAYPOST_OUTPUT"'))
        for n in range(24)
    ]
    most = 0
    async with ClusterNode(settings) as node, asyncio.timeout(100):
        await start(node, *tasks)
        ending = asyncio.create_task(finished(node))
        while not ending.done():
            most = max(most, await asyncio.to_thread(left, engine, tmp_path / "workspaces"))
            await asyncio.wait({ending}, timeout=0.1)
        assert {name: event.output for name, event in (await ending).items()} == {
            f"t{n}": n for n in range(24)
        }
    assert 2 <= most <= 8
    assert left(engine, tmp_path / "workspaces") == 0


async def test_leftovers_of_a_killed_cluster_are_removed_at_the_next_start(
    engine: RealEngine, tmp_path: Path
) -> None:
    """Its watchdog may have been killed, too."""
    label = {CLUSTER_LABEL: str(tmp_path)}
    made = {
        "Image": engine.image,
        "Cmd": ["sleep", "300"],
        "Labels": label,
        "HostConfig": {"NetworkMode": "none"},
    }
    name = engine.call("POST", "/containers/create", json=made).json()["Id"]
    engine.call("POST", f"/containers/{name}/start")
    async with docker(engine, tmp_path):
        assert left(engine, tmp_path) == 0


async def test_a_stopped_container_gets_its_grace(engine: RealEngine, tmp_path: Path) -> None:
    async with docker(engine, tmp_path, grace_seconds=20) as executor:
        script = "trap 'echo saved > saved; exit 0' TERM; touch begun; while true; do sleep 0.1; done"
        trying = asyncio.create_task(tried(executor, tmp_path, shell(engine, script)))
        while not (folders(tmp_path).workspace / "begun").exists():
            await asyncio.sleep(0.05)
        trying.cancel()
        with pytest.raises(asyncio.CancelledError):
            await trying
    assert (folders(tmp_path).workspace / "saved").read_text() == "saved\n"
    assert left(engine, tmp_path) == 0
