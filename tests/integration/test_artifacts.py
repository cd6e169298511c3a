"""Tests artifacts on a real stack: policy, files between regions, and regions that are killed meanwhile."""

import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.cli.dev.stack import Stack
from tests.integration.conftest import caller_of
from tests.integration.waiting import described, ended, submitted, taking_work, until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

REGIONS = ("beijing", "shanghai")
MIB = 256


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    folder = tmp_path / "storage"
    folder.mkdir()
    (folder / "orders.csv").write_text("a;1\n")
    return folder


@pytest.fixture
async def stack(tmp_path: Path, storage: Path) -> AsyncIterator[Stack]:
    storages = {"demo": {"folder": str(storage), "write": "true"}, "other": {"folder": str(storage)}}
    async with Stack(tmp_path / "stack", REGIONS, storages=storages) as stack:
        yield stack


def document(*tasks: dict[str, Any]) -> dict[str, Any]:
    spec = {"tasks": [{"type": "process"} | task for task in tasks]}
    return {"apiVersion": "waypost/v1", "kind": "Workflow", "metadata": {"name": "convert"}, "spec": spec}


def shell(script: str) -> dict[str, Any]:
    return {"command": ["/bin/sh", "-c", script]}


def demo(path: str, **more: str) -> dict[str, Any]:
    return {"file": {"storage": "demo", "path": path, **more}}


def unfinished(storage: Path) -> list[Path]:
    return list(storage.rglob(".waypost-*"))


def names_in(folder: Path) -> list[str]:
    return os.listdir(folder)


async def test_what_policy_does_not_permit_is_refused_at_submission(stack: Stack) -> None:
    """Of another storage that the regions have, too."""
    async with caller_of(stack) as client:
        task = {
            "name": "a",
            "run": shell("true"),
            "source": {"file": {"storage": "other", "path": "orders.csv"}},
        }
        refused = await client.post("/v1/runs", json=document(task))
        assert refused.status_code == 403
        assert "artifact: the tenant may not fetch other/orders.csv" in refused.text


async def test_a_region_that_is_killed_while_it_stores_leaves_no_half(stack: Stack, storage: Path) -> None:
    """The shard goes elsewhere; only a whole file is ever seen, and its checksum is in the output."""
    make = f"cat orders.csv > out && truncate -s {MIB}M out"
    tasks = (
        {
            "name": "make",
            "run": shell(make),
            "source": demo("orders.csv"),
            "target": demo("day/out", workspace="out"),
        },
        {
            "name": "check",
            "needs": ["make"],
            "run": shell("test -s again"),
            "source": demo(
                "day/out", workspace="again", sha256="${tasks.make.output.artifacts.target.sha256}"
            ),
        },
    )
    whole = hashlib.sha256(b"a;1\n".ljust(MIB << 20, b"\0")).hexdigest()

    async with caller_of(stack) as client:
        await taking_work(client, REGIONS)
        run = await submitted(client, document(*tasks))

        async def storing() -> str | None:
            if not unfinished(storage):
                return None
            return str((await described(client, run))["shards"][0]["region"])

        region = await until(storing)
        stack.kill(region)
        assert "out" not in names_in(storage / "day")
        done = await ended(client, run, seconds=120)

        shown = (await client.get(f"/v1/runs/{run}", params={"outputs": "true"})).json()["tasks"]
        outputs = {task["task"]: task["output"] for task in shown}
    assert done["phase"] == "Succeeded", done
    assert done["shards"][0]["region"] != region
    assert outputs["make"]["artifacts"]["target"] == {
        "address": f"file://{storage}/day/out",
        "sha256": whole,
        "bytes": MIB << 20,
    }
    assert outputs["check"]["artifacts"]["source"]["sha256"] == whole
    assert unfinished(storage) == []
