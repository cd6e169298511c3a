"""Tests real recorded workflows: converted, accepted, and run to the end in the order of the DAG."""

import json
import os
from pathlib import Path

import httpx
import msgspec
import pytest

from gateway.documents.wfformat import from_wfformat
from tests.integration.conftest import REGIONS
from tests.integration.waiting import described, ended, submitted, taking_work

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]
ROOT = Path(__file__).parents[2]
INSTANCES = Path(os.environ.get("WAYPOST_SHARED", ROOT.parent / "shared")) / "data" / "wfinstances"
LONGEST_SECONDS = 0.3
"""The seconds to which the longest task of a recording is scaled."""


async def test_every_recorded_workflow_runs_to_its_end_in_order(client: httpx.AsyncClient) -> None:
    """Thirteen DAGs of ten to 310 tasks, judged by the start and end that each task recorded."""
    files = sorted(INSTANCES.glob("*.json"))
    if not files:
        pytest.skip(f"no recorded workflows in {INSTANCES.relative_to(ROOT.parent)}")
    await taking_work(client, REGIONS)
    runs = {}
    for file in files:
        recording = json.loads(file.read_text())
        longest = max(task["runtimeInSeconds"] for task in recording["workflow"]["execution"]["tasks"])
        workflow = from_wfformat(recording, scale=LONGEST_SECONDS / max(longest, 1e-9)).workflow
        runs[file.name] = (workflow, await submitted(client, msgspec.to_builtins(workflow)))
    for name, (workflow, run) in runs.items():
        assert (await ended(client, run, seconds=120))["phase"] == "Succeeded", name
        tasks = {task["task"]: task for task in (await described(client, run))["tasks"]}
        assert tasks.keys() == {task.name for task in workflow.spec.tasks}
        for task in workflow.spec.tasks:
            for need in task.needs:
                assert tasks[need]["ended_at"] <= tasks[task.name]["started_at"], (
                    f"{name}: {need} -> {task.name}"
                )
