"""Tests a node by itself: its settings, and a clean stop."""

import os
from pathlib import Path

import pytest
from msgspec import structs

from clusters.embedded.executors import registry
from clusters.embedded.executors.registry import EXECUTORS
from clusters.embedded.node import ClusterNode
from clusters.embedded.node_settings import ClusterNodeSettings
from clusters.embedded.secrets.providers import SecretSettings
from tests.clusters.embedded.working_node import SHARD, finished, process, settings_without_sandbox, start
from waypost.workflow.task import TaskSpec


@pytest.mark.parametrize(
    ("cpu", "slots"), [(0.0, 1), (-1.0, 1), (float("nan"), 1), (float("inf"), 1), (1.0, 0), (1.0, -5)]
)
def test_a_cluster_without_processors_or_slots_does_not_start(cpu: float, slots: int) -> None:
    """It would take work and never do it."""
    with pytest.raises(ValueError, match="needs processors and slots"):
        ClusterNodeSettings(region="beijing", state="state", cpu=cpu, slots=slots)


async def test_a_cluster_without_secrets_reports_no_such_feature(tmp_path: Path) -> None:
    """A run with secrets goes where there are some, or waits."""
    for secrets, said in ((SecretSettings(), False), (SecretSettings(environment="SECRET_"), True)):
        settings = ClusterNodeSettings(region="r", state=str(tmp_path / str(said)), secrets=secrets)
        async with ClusterNode(settings) as node:
            assert ("secrets" in (await node.probe()).features) == said


@pytest.mark.parametrize("memory_mib", [0, -1, 1 << 41])
def test_a_cluster_without_memory_does_not_start(memory_mib: int) -> None:
    """Nor with more than a gateway would believe."""
    with pytest.raises(ValueError, match="MiB of memory"):
        ClusterNodeSettings(region="beijing", state="state", memory_mib=memory_mib)


async def test_an_executor_that_the_host_cannot_run_is_not_advertised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The gateway would place tasks that fail here, although another cluster runs them."""
    without_daemon = structs.replace(EXECUTORS["delay"], unavailable=lambda *_: "its daemon does not answer")
    monkeypatch.setattr(registry, "EXECUTORS", {**EXECUTORS, "docker": without_daemon})
    async with ClusterNode(settings_without_sandbox(tmp_path)) as node:
        executors = (await node.attempts()).status.executors
        assert "docker" not in executors
        assert {"delay", "process"} <= set(executors)


async def test_a_clean_stop_starts_nothing(tmp_path: Path) -> None:
    """Tries that it kills free processors: what waits for them would be started, and killed at once."""
    async with ClusterNode(settings_without_sandbox(tmp_path, cpu=1.0)) as node:
        await start(node, process("a", "sleep", "300"), process("b", "touch", str(tmp_path / "b")))
    assert not (tmp_path / "b").exists()
    async with ClusterNode(settings_without_sandbox(tmp_path, cpu=1.0)) as node:
        assert (await node.attempts()).attempts == ((SHARD, False),)


async def test_what_a_cluster_writes_is_its_owners_alone(tmp_path: Path) -> None:
    """Journal, workspaces, inputs and logs hold what tenants sent, whatever the umask."""
    before = os.umask(0)
    try:
        async with ClusterNode(ClusterNodeSettings(region="r", state=str(tmp_path / "s"), cpu=4.0)) as node:
            run = {"command": ["sleep", "0.01"], "workingDirectory": "deep/er"}
            await start(node, TaskSpec(name="a", type="process", run=run))
            await finished(node)
            files = modes(tmp_path)
    finally:
        os.umask(before)

    assert {path.name for path in files} >= {"journal.db", "a.log", "deep", "er", "0"}
    # What tasks see as /etc holds nothing that anybody sent.
    assert [path for path, mode in files.items() if mode & 0o077 and ".etc" not in path.parts] == []


def modes(root: Path) -> dict[Path, int]:
    return {path: path.lstat().st_mode for path in root.rglob("*")}


async def test_a_semaphore_of_one_place_runs_one_task_after_the_other(tmp_path: Path) -> None:
    """On real processes, of which each writes when it began and ended; who waits is told for what."""
    script = 'echo "$0 begins" >> "$1"; sleep 0.2; echo "$0 ends" >> "$1"'
    log = tmp_path / "order"
    tasks = [process(name, "sh", "-c", script, name, str(log), semaphore="db") for name in "abc"]
    settings = ClusterNodeSettings(
        region="beijing", state=str(tmp_path / "state"), cpu=4.0, executors={"process": {"isolation": "none"}}
    )
    async with ClusterNode(settings) as node:
        await start(node, *tasks, semaphores={"db": 1})
        waits = (await node.waits(SHARD)).waits
        await finished(node)
    lines = [line.split() for line in log.read_text().splitlines()]

    assert [word for _, word in lines] == ["begins", "ends"] * 3
    assert [first == second for (first, _), (second, _) in zip(lines[::2], lines[1::2], strict=True)] == [
        True
    ] * 3
    assert {(wait.reason, wait.name, wait.taken) for wait in waits} == {("Semaphore", "db", 1)}
