"""Runs the documents of docs/coming-from.md on real processes, and looks at what their tasks leave behind."""

import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from gateway.cli.dev.stack import Stack
from tests.integration.conftest import REGIONS
from tests.integration.waiting import ended, submitted, taking_work, until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

PAGE = Path(__file__).parents[2] / "docs" / "coming-from.md"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Makes the folder that the tasks write into."""
    (tmp_path / "effects").mkdir()
    return tmp_path / "effects"


def shown(name: str, folder: Path) -> dict[str, Any]:
    """Returns the page's document of this name, whose tasks write into `folder`."""
    texts = re.findall(r"^```yaml\n(.*?)^```", PAGE.read_text(), re.S | re.M)
    documents = [yaml.safe_load(text) for text in texts]
    (document,) = (one for one in documents if one["metadata"]["name"] == name)
    document["spec"]["params"]["folder"] = str(folder)
    return dict(document)


def left(folder: Path) -> set[str]:
    """Returns the names of the files that the tasks have left."""
    return {path.name for path in folder.iterdir()}


async def outcome(client: httpx.AsyncClient, document: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Returns the phase of the run of a document at its end, and its tasks by name."""
    await taking_work(client, REGIONS)
    found = await ended(client, await submitted(client, document))
    return found["phase"], {task["task"]: task for task in found["tasks"]}


async def test_a_failure_decides_what_follows(stack: Stack, client: httpx.AsyncClient, folder: Path) -> None:
    """The failure stays a failure, those that ask for it run, and the run has succeeded."""
    phase, tasks = await outcome(client, shown("enhanced-depends", folder))

    assert phase == "Succeeded"
    assert left(folder) == {"A", "B", "C", "should-execute-1", "should-execute-2", "should-execute-3"}
    assert (tasks["C"]["phase"], tasks["C"]["reason"]) == ("Failed", "exit code 1")
    assert tasks["should-not-execute"]["phase"] == "Skipped"


async def test_only_a_target_and_what_it_needs_run(
    stack: Stack, client: httpx.AsyncClient, folder: Path
) -> None:
    phase, tasks = await outcome(client, shown("targets", folder))

    assert phase == "Succeeded"
    assert left(folder) == set(tasks) == {"A", "C", "E"}


async def test_one_failure_leaves_the_others_alone(
    stack: Stack, client: httpx.AsyncClient, folder: Path
) -> None:
    """B sleeps while C fails, and runs to its end all the same."""
    phase, tasks = await outcome(client, shown("disable-fail-fast", folder))

    assert phase == "Failed"
    assert left(folder) == {"A", "B", "C", "D", "E"}
    assert {name: task["phase"] for name, task in tasks.items() if name != "C"} == dict.fromkeys(
        "ABDE", "Succeeded"
    )
    assert tasks["C"]["phase"] == "Failed"


async def test_one_branch_and_the_join_run(stack: Stack, client: httpx.AsyncClient, folder: Path) -> None:
    phase, tasks = await outcome(client, shown("branching", folder))

    assert phase == "Succeeded"
    assert left(folder) == {"branch_c", "join"}
    assert (tasks["follow_a"]["phase"], tasks["follow_a"]["reason"]) == ("Skipped", "branch_a was skipped")


async def test_a_teardown_runs_once_though_the_work_has_failed(
    stack: Stack, client: httpx.AsyncClient, folder: Path
) -> None:
    phase, tasks = await outcome(client, shown("setup-and-teardown", folder))

    assert phase == "Failed"
    assert left(folder) == {"setup", "work", "teardown"}
    assert (folder / "teardown").read_text() == "once\n"
    assert tasks["work"]["phase"] == "Failed"


async def test_an_exit_handler_learns_how_the_run_has_ended(
    stack: Stack, client: httpx.AsyncClient, folder: Path
) -> None:
    """The notification and the cry have run, once each, and the celebration has not."""
    phase, tasks = await outcome(client, shown("exit-handlers", folder))

    assert phase == "Failed"
    assert left(folder) == {"intentional-fail", "send-email", "cry"}
    assert (folder / "send-email").read_text() == "Failed\n"
    (failure,) = json.loads((folder / "cry").read_text())["failed"]
    assert failure == {"shard": 0, "task": "intentional-fail", "reason": "exit code 1"}
    assert tasks["celebrate"]["phase"] == "Skipped"


async def test_what_all_shards_have_made_is_added_up(
    stack: Stack, client: httpx.AsyncClient, folder: Path
) -> None:
    phase, _ = await outcome(client, shown("sum-over-shards", folder))

    assert phase == "Succeeded"
    assert (folder / "sum").read_text() == "9\n"


async def test_a_failed_task_is_not_tried_again_when_its_region_is_killed(
    stack: Stack, client: httpx.AsyncClient, folder: Path
) -> None:
    """kill -9 while the teardown runs: the failure is in the journal, and the teardown runs again."""
    document = shown("setup-and-teardown", folder)
    _, work, teardown = document["spec"]["tasks"]
    work["run"]["command"] = ["sh", "-c", f"echo once >> {folder}/work; exit 1"]
    teardown["run"]["command"] = [
        "sh",
        "-c",
        f"echo begun >> {folder}/teardown; sleep 5; touch {folder}/done",
    ]
    document["spec"]["placement"] = {"regions": ["beijing"]}
    await taking_work(client, REGIONS)
    run = await submitted(client, document)

    async def torn_down() -> bool:
        return (folder / "teardown").exists()

    await until(torn_down)
    stack.kill("beijing")
    await stack.processes["beijing"].wait()
    await stack.start_region("beijing", port=stack.ready["beijing"]["port"])
    found = await ended(client, run)

    assert (found["phase"], found["shards"][0]["reason"]) == ("Failed", "task work: exit code 1")
    assert (folder / "work").read_text() == "once\n"
    assert (folder / "teardown").read_text() == "begun\nbegun\n"
    assert (folder / "done").exists()
