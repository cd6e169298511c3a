"""Tests executors and kinds of cluster that other packages bring by entry points."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from loguru import logger

from clusters.embedded.executors.registry import executor_settings, registered_executors
from clusters.embedded.node import ClusterNode
from clusters.embedded.node_settings import ClusterNodeSettings
from clusters.registry import engine_at, executors_at, unusable_plugins
from tests.clusters.embedded.working_node import finished, start
from tests.clusters.installed_package import installed_package
from waypost.workflow.task import TaskSpec


@pytest.fixture(autouse=True)
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with installed_package(tmp_path / "site", monkeypatch):
        yield


@pytest.fixture
def logged() -> Iterator[list[str]]:
    lines: list[str] = []
    sink = logger.add(lambda line: lines.append(str(line)), format="{message}")
    yield lines
    logger.remove(sink)


@pytest.mark.integration
async def test_a_cluster_runs_the_tasks_of_an_installed_package(tmp_path: Path) -> None:
    """With the settings that it declares; no line of ours names it."""
    settings = ClusterNodeSettings(
        region="beijing", state=str(tmp_path / "state"), executors={"shout": {"mark": "?"}}
    )
    async with ClusterNode(settings) as node:
        assert "shout" in (await node.attempts()).status.executors
        await start(node, TaskSpec(name="a", type="shout", run={"text": "hello"}))
        assert (await finished(node))["a"].output == "HELLO?"


@pytest.mark.integration
async def test_a_broken_package_is_named_and_stops_no_cluster(tmp_path: Path, logged: list[str]) -> None:
    """Neither does a setting for what it would have brought."""
    settings = ClusterNodeSettings(
        region="beijing", state=str(tmp_path / "state"), executors={"missing": {"anything": "1"}}
    )
    async with ClusterNode(settings) as node:
        executors = set((await node.attempts()).status.executors)
    assert {"shout", "delay", "process"} <= executors
    assert executors.isdisjoint({"unbuilt", "unasked", "missing", "number", "leaving"})
    named = {line.strip() for line in logged if line.startswith("this cluster runs no ")}
    failed = "it failed: RuntimeError: no such device"
    at = "of acme-tasks 1.2"
    assert named >= {
        f"this cluster runs no unbuilt tasks: {failed}",
        f"this cluster runs no unasked tasks: {failed}",
        f"this cluster runs no number tasks: acme_tasks:NUMBER {at} is no RegisteredExecutor",
        f"this cluster runs no leaving tasks: acme_leaving:SHOUT {at} cannot be loaded: SystemExit: 3",
        "this cluster runs no delay of acme-tasks 1.2 tasks: there is another delay already",
    }
    assert any("missing tasks: acme_tasks.nowhere:SHOUT" in line for line in named)


def test_what_ships_with_us_cannot_be_replaced() -> None:
    """A package that is installed for something else would run everybody's tasks."""
    assert registered_executors()["delay"].run_type.__name__ == "DelayRun"


def test_a_setting_of_an_installed_executor_is_checked() -> None:
    with pytest.raises(ValueError, match="the executor shout: there is no setting loudness"):
        executor_settings({"shout": {"loudness": "7"}})


def test_a_package_brings_a_kind_of_cluster() -> None:
    """With executors of its own; one that is broken is named where a region needs it."""
    assert engine_at("acme+https://10.0.0.5") == "acme"
    assert list(executors_at(["acme+https://10.0.0.5"]).run_types) == ["shout"]
    with pytest.raises(ValueError, match=r"its kind of cluster cannot be used: acme_tasks\.nowhere:KIND"):
        engine_at("torn+https://10.0.0.5")


def test_what_cannot_be_used_is_listed() -> None:
    assert set(unusable_plugins()) == {
        "executor missing",
        "executor number",
        "executor leaving",
        "executor delay of acme-tasks 1.2",
        "kind of cluster torn+https",
    }
