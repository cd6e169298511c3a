"""Tests the situations of docs/coming-from.md that use outputs: results of branches, lists, maps and sums.

They are judged by what the tasks leave in files.
"""

import re
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from gateway.cli.dev.stack import Stack
from tests.integration.conftest import NOTE, REGIONS, effects, history
from tests.integration.waiting import described, ended, submitted, taking_work, until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]
PAGE = (Path(__file__).parents[2] / "docs" / "coming-from.md").read_text()
DOCUMENTS = {
    document["metadata"]["name"]: document
    for document in map(yaml.safe_load, re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL))
}


async def run(client: httpx.AsyncClient, name: str, folder: Path, **params: Any) -> dict[str, Any]:
    """Runs a document of the page with its files in `folder`, to the end; returns the run."""
    document = DOCUMENTS[name]
    spec = document["spec"] | {"params": document["spec"]["params"] | {"folder": str(folder)} | params}
    return await ended(client, await submitted(client, document | {"spec": spec}))


async def test_the_result_is_that_of_the_branch_that_ran(client: httpx.AsyncClient, tmp_path: Path) -> None:
    """The output of the other, which was skipped, is null."""
    await taking_work(client, REGIONS)
    found = await run(client, "conditional-parameters", tmp_path)
    phases = {task["task"]: task["phase"] for task in found["tasks"]}
    won = "heads" if phases["heads"] == "Succeeded" else "tails"

    assert found["phase"] == "Succeeded"
    assert sorted([phases["heads"], phases["tails"]]) == ["Skipped", "Succeeded"]
    assert (tmp_path / "result").read_text() == f"it was {won}\n"


async def test_a_task_runs_for_each_item_between_two_others(
    client: httpx.AsyncClient, tmp_path: Path
) -> None:
    """Three times B, in any order, after A and before C."""
    await taking_work(client, REGIONS)
    found = await run(client, "loops", tmp_path)
    lines = (tmp_path / "lines").read_text().splitlines()

    assert found["phase"] == "Succeeded"
    assert (lines[0], sorted(lines[1:-1]), lines[-1]) == ("A", ["B bar", "B baz", "B foo"], "C")


@pytest.mark.parametrize("parts", [1, 4, 200])
async def test_the_total_is_right_whatever_the_number_of_parts(
    client: httpx.AsyncClient, tmp_path: Path, parts: int
) -> None:
    """Only the task before knows how many; each part is worked on once."""
    await taking_work(client, REGIONS)
    found = await run(client, "map-reduce", tmp_path, parts=parts)
    (mapped,) = (task for task in found["tasks"] if task["task"] == "map")

    assert found["phase"] == "Succeeded"
    assert (tmp_path / "total").read_text() == str(sum(4 * part for part in range(parts)))
    assert sorted((tmp_path / "mapped").read_text().split()) == sorted(map(str, range(parts)))
    assert (mapped["instances"], found["task_phases"]) == (parts, {"Succeeded": 3})


async def test_numbers_of_a_task_are_mapped_and_added(client: httpx.AsyncClient, tmp_path: Path) -> None:
    """2 + 3 + 4; the API shows the list as the output of the mapped task."""
    await taking_work(client, REGIONS)
    found = await run(client, "dynamic-mapping", tmp_path)
    shown = (await client.get(f"/v1/runs/{found['id']}", params={"outputs": "true"})).json()["tasks"]

    assert (tmp_path / "sum").read_text() == "9"
    assert {task["task"]: task["output"] for task in shown}["add_one"] == [2, 3, 4]


async def test_a_generated_dag_of_dags_runs_in_order(client: httpx.AsyncClient, tmp_path: Path) -> None:
    """Sixteen tasks, each after those that it needs."""
    (program,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    names: dict[str, Any] = {"__name__": "nested"}
    exec(program, names)  # the page's own program
    document = names["document"]([sys.executable, "-c", NOTE, str(tmp_path / "effects"), "0.01"])
    await taking_work(client, REGIONS)
    assert (await ended(client, await submitted(client, document)))["phase"] == "Succeeded"

    at = {(word, task): when for word, _, task, _, _, when in effects(tmp_path / "effects")}
    assert len(at) == 32
    for task in document["spec"]["tasks"]:
        for need in task["needs"]:
            assert at["end", need] <= at["start", task["name"]]


async def test_a_killed_region_runs_no_finished_instance_again(
    stack: Stack, client: httpx.AsyncClient, tmp_path: Path
) -> None:
    """kill -9 in the middle of sixty: the next region runs the rest, and the sum is right."""
    log = tmp_path / "effects"
    items = list(range(60))
    write = f"{NOTE}\nopen(os.environ['WAYPOST_OUTPUT'], 'w').write(sys.argv[3])"
    work = [sys.executable, "-c", write, str(log), "0.1", "${item}"]
    add = (
        "import json, os, sys; outputs = json.load(open(os.environ['WAYPOST_INPUT']))['outputs'];"
        "open(sys.argv[1], 'w').write(str(sum(outputs['map'])))"
    )
    total = [sys.executable, "-c", add, str(tmp_path / "total")]
    spec = {
        "placement": {"avoid": ["shanghai", "shenzhen"]},
        "tasks": [
            {"name": "map", "type": "process", "forEach": items, "run": {"command": work}},
            {"name": "sum", "type": "process", "needs": ["map"], "run": {"command": total}},
        ],
    }
    document = {"apiVersion": "waypost/v1", "kind": "Workflow", "metadata": {"name": "mapped"}, "spec": spec}
    await taking_work(client, REGIONS)
    run_id = await submitted(client, document)

    async def well_under_way() -> bool:
        tasks = (await described(client, run_id))["tasks"]
        return len([task for task in tasks if task["phase"] == "Succeeded"]) > 10

    await until(well_under_way)
    stack.kill("beijing")
    await stack.processes["beijing"].wait()
    found = await ended(client, run_id)
    told = history(stack, run_id)
    held = {e["task"]: e["epoch"] for e in told if e["kind"] == "TaskFinished"}
    starts = Counter(task for word, _, task, *_ in effects(log) if word == "start")
    again = [task for word, _, task, epoch, *_ in effects(log) if word == "start" and epoch > held[task]]

    assert found["phase"] == "Succeeded"
    assert (tmp_path / "total").read_text() == str(sum(items))
    assert again == [], "an instance whose result the store held was started again"
    assert set(starts) == {f"map[{item}]" for item in items}
    assert {event["epoch"] for event in told if event["kind"] == "TaskFinished"} >= {1, 2}
