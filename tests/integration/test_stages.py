"""Tests `collect` and `finally` on real processes, from the files that their tasks write."""

import asyncio
import json
import random
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from gateway.cli.dev.stack import Stack
from tests.integration.conftest import REGIONS
from tests.integration.waiting import described, ended, submitted, taking_work, until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

WRITE_INPUT = """
import json, os, sys, time
told = json.load(open(os.environ["WAYPOST_INPUT"]))
told["run"], told["named"] = os.environ["WAYPOST_RUN"], os.environ["WAYPOST_SHARD"]
with open(os.path.join(sys.argv[1], os.environ["WAYPOST_TASK"]), "a") as file:
    file.write(json.dumps(told) + "\\n")
time.sleep(float(sys.argv[2]))
"""
ADD = """
import json, os, sys
told = json.load(open(os.environ["WAYPOST_INPUT"]))
json.dump(sum(told["outputs"]["count"]), open(os.environ["WAYPOST_OUTPUT"], "w"))
"""


def writing(name: str, folder: Path, seconds: float = 0.0, **fields: Any) -> dict[str, Any]:
    """Returns a task that appends its input to a file with its name."""
    command = [sys.executable, "-c", WRITE_INPUT, str(folder), str(seconds)]
    return {"name": name, "type": "process", "run": {"command": command}, **fields}


def shell(name: str, script: str, **fields: Any) -> dict[str, Any]:
    return {"name": name, "type": "process", "run": {"command": ["sh", "-c", script]}, **fields}


def document(**spec: Any) -> dict[str, Any]:
    return {"apiVersion": "waypost/v1", "kind": "Workflow", "metadata": {"name": "staged"}, "spec": spec}


def written(folder: Path, task: str) -> list[dict[str, Any]]:
    """Returns the inputs that the starts of a task have written."""
    path = folder / task
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


async def test_finally_runs_after_a_failure_and_is_told_of_it(
    stack: Stack, client: httpx.AsyncClient, tmp_path: Path
) -> None:
    """Somebody is notified whatever happened; the run is Failed all the same."""
    await taking_work(client, REGIONS)
    spec: dict[str, Any] = {
        "tasks": [shell("intentional-fail", "exit 7")],
        "finally": [writing("notify", tmp_path)],
        "shards": {"count": 2},
    }

    run = await submitted(client, document(**spec))
    found = await ended(client, run)

    assert found["phase"] == "Failed"
    (told,) = written(tmp_path, "notify")
    assert (told["status"], told["run"], told["named"]) == ("Failed", run, "finally")
    assert [(one["shard"], one["task"], one["reason"]) for one in told["failed"]] == [
        (0, "intentional-fail", "exit code 7"),
        (1, "intentional-fail", "exit code 7"),
    ]
    assert told["reason"] == "task intentional-fail: exit code 7"


async def test_the_example_does_what_its_comments_say(stack: Stack, client: httpx.AsyncClient) -> None:
    """One task adds up, one is told of the end, and the one for failures is skipped."""
    await taking_work(client, REGIONS)
    text = (Path(__file__).parents[2] / "examples" / "stages.yaml").read_text()

    found = await ended(client, await submitted(client, yaml.safe_load(text)))

    assert found["phase"] == "Succeeded"
    run = found["id"]
    answer = (await client.get(f"/v1/runs/{run}", params={"outputs": "true"})).json()
    tasks = {task["task"]: (task["phase"], task["output"]) for task in answer["tasks"]}
    assert tasks["sum"] == ("Succeeded", len("orders") + len("stock") + len("prices"))
    assert (tasks["notify"][0], tasks["cry"][0]) == ("Succeeded", "Skipped")
    log = await client.get(f"/v1/runs/{run}/logs", params={"task": "notify", "shard": "finally"})
    assert log.text == "stages: Succeeded\n"


async def test_a_celebration_on_success_and_a_cry_on_failure(
    stack: Stack, client: httpx.AsyncClient, tmp_path: Path
) -> None:
    """A notification that fails itself stops neither of them."""
    await taking_work(client, REGIONS)
    spec: dict[str, Any] = {
        "finally": [
            shell("notify", f"touch {tmp_path}/notify; exit 1"),
            shell("celebrate", f"sleep 0.5; touch {tmp_path}/celebrate", runs="onSuccess"),
            shell("cry", f"sleep 0.5; touch {tmp_path}/cry", runs="onFailure"),
        ],
    }

    failed = await ended(client, await submitted(client, document(tasks=[shell("main", "exit 1")], **spec)))
    left = {name for name in ("notify", "celebrate", "cry") if (tmp_path / name).exists()}

    assert failed["phase"] == "Failed"
    assert left == {"notify", "cry"}
    phases = {task["task"]: task["phase"] for task in failed["tasks"]}
    assert phases == {"main": "Failed", "notify": "Failed", "celebrate": "Skipped", "cry": "Succeeded"}


async def test_collect_adds_up_what_all_shards_have_counted(
    stack: Stack, client: httpx.AsyncClient, tmp_path: Path
) -> None:
    """The fan-in over shards: one task, once, with the output of each shard, in their order."""
    await taking_work(client, REGIONS)
    spec: dict[str, Any] = {
        "tasks": [shell("count", 'echo ${shard.item} > "$WAYPOST_OUTPUT"')],
        "shards": {"items": [2, 3, 4]},
        "collect": [
            writing("see", tmp_path, needs=["count"]),
            {
                "name": "sum",
                "type": "process",
                "run": {"command": [sys.executable, "-c", ADD]},
                "needs": ["count"],
            },
        ],
        "finally": [writing("last", tmp_path)],
    }

    run = await submitted(client, document(**spec))
    found = await ended(client, run)

    assert found["phase"] == "Succeeded"
    answer = (await client.get(f"/v1/runs/{run}", params={"shard": "collect", "outputs": "true"})).json()
    assert {task["task"]: task["output"] for task in answer["tasks"]} == {"see": None, "sum": 9}
    (told,) = written(tmp_path, "see")
    assert told["outputs"] == {"count": [2, 3, 4]}
    assert [told["status"] for told in written(tmp_path, "last")] == ["Succeeded"]


async def test_finally_runs_after_a_cancellation_and_a_second_one_ends_it(
    stack: Stack, client: httpx.AsyncClient, tmp_path: Path
) -> None:
    """The main shards end first; the run stays Cancelling until what cleans up has ended too."""
    await taking_work(client, REGIONS)
    spec: dict[str, Any] = {
        "tasks": [shell("work", "sleep 60")],
        "finally": [writing("clean", tmp_path, 60.0)],
    }
    run = await submitted(client, document(**spec))

    async def running() -> bool:
        return bool((await described(client, run))["task_phases"] == {"Running": 1})

    await until(running)
    await client.post(f"/v1/runs/{run}/cancel")

    async def cleaning() -> bool:
        return bool(written(tmp_path, "clean"))

    await until(cleaning)
    meanwhile = await described(client, run)
    await client.post(f"/v1/runs/{run}/cancel")
    found = await ended(client, run)

    assert (meanwhile["phase"], found["phase"]) == ("Cancelling", "Cancelled")
    assert [told["status"] for told in written(tmp_path, "clean")] == ["Cancelled"]


async def test_finally_runs_after_the_deadline(
    stack: Stack, client: httpx.AsyncClient, tmp_path: Path
) -> None:
    """Within a time of its own, when the processes of the rest are gone."""
    await taking_work(client, REGIONS)
    alive = tmp_path / "alive"
    spec: dict[str, Any] = {
        "tasks": [shell("work", f"trap '' TERM; while :; do date > {alive}; sleep 0.05; done")],
        "finally": [
            shell("look", f"rm {alive}; sleep 1; test ! -e {alive}"),
            writing("last", tmp_path, needs=["look"]),
        ],
        "deadlineSeconds": 2,
    }

    found = await ended(client, await submitted(client, document(**spec)))

    assert found["phase"] == "Failed"
    assert {task["task"]: task["phase"] for task in found["tasks"]} == {
        "work": "Stopped",
        "look": "Succeeded",
        "last": "Succeeded",
    }
    (told,) = written(tmp_path, "last")
    assert (told["status"], told["reason"]) == ("Failed", "DeadlineExceeded")
    assert told["failed"] == [{"shard": 0, "task": None, "reason": "DeadlineExceeded"}]


async def test_finally_outlives_the_gateway_and_its_region(
    stack: Stack, client: httpx.AsyncClient, tmp_path: Path, rounds: int
) -> None:
    """kill -9 of the gateway and of the region that runs it, at random moments: what finished ran once."""
    rng = random.Random(5)
    for number in range(rounds):
        await taking_work(client, REGIONS)
        folder = tmp_path / str(number)
        folder.mkdir()
        steps = [f"step-{n}" for n in range(4)]
        spec: dict[str, Any] = {
            "tasks": [shell("work", "exit 1" if number % 2 else "true")],
            "finally": [
                writing(name, folder, 0.3, needs=steps[max(0, n - 1) : n]) for n, name in enumerate(steps)
            ],
        }
        run = await submitted(client, document(**spec))

        async def began(run: str = run) -> str | None:
            shards = (await described(client, run))["shards"]
            return next(
                (s["region"] for s in shards if s["index"] >= 1_000_000 and s["phase"] == "Running"), None
            )

        victim = await until(began)
        await asyncio.sleep(rng.uniform(0.0, 1.0))  # the moment of the kill is what is random here
        killed = [("gateway",), (victim,), ("gateway", victim)][number % 3]
        for name in killed:
            stack.kill(name)
            await stack.processes[name].wait()
            if name == "gateway":
                await stack.start_gateway()
            else:
                await stack.start_region(name, port=stack.ready[name]["port"])
        found = await ended(client, run)

        assert found["phase"] == ("Failed" if number % 2 else "Succeeded")
        finals = [task for task in found["tasks"] if task["shard"] >= 1_000_000]
        assert Counter(task["phase"] for task in finals) == {"Succeeded": 4}
        starts = Counter({name: len(written(folder, name)) for name in steps})
        assert all(1 <= starts[name] <= 2 for name in steps), starts
        # Its region went on while the gateway was away. One that is killed has one task under way, and one at
        # most whose end was not reported yet; but if no gateway listened, all that it had finished.
        assert starts.total() <= (4, 6, 8)[number % 3], (killed, starts)
        print(f"round {number}: {killed} killed, starts {dict(starts)}")
