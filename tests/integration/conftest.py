"""Fixtures of the whole stack as real processes, with quick recovery between rounds."""

import json
import shlex
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.cli.dev.stack import Stack
from gateway.identity.development_issuer import mint_token
from tests.opa_fixture import OPA

REGIONS = ("beijing", "shanghai", "shenzhen")
SCOPES = (*("workflows:submit", "workflows:read", "workflows:cancel", "workflows:release", "regions:read"),)

QUICK_RETURN = {"WAYPOST_HEALTH__EJECTION_SECONDS": "0.5", "WAYPOST_HEALTH__SLOW_START_SECONDS": "1"}
"""Settings by which a killed region is used again soon; the usual ones are tested in virtual time.
"""

NOTE = """
import os, sys, time
def note(word):
    with open(sys.argv[1], "a") as file:
        who = [os.environ["WAYPOST_" + name] for name in ("SHARD", "TASK", "EPOCH", "REGION")]
        file.write(" ".join([word, *who, str(time.time())]) + "\\n")
note("start")
time.sleep(float(sys.argv[2]))
note("end")
"""


@pytest.fixture
async def stack(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Stack]:
    by_opa = request.config.getoption("--policy") == "opa"
    assert OPA is not None or not by_opa, "there is no opa here: `make opa` builds one"
    opa = OPA if by_opa else None
    async with Stack(tmp_path / "stack", REGIONS, settings=QUICK_RETURN, opa=opa, shared=[tmp_path]) as stack:
        yield stack


@pytest.fixture
async def client(stack: Stack) -> AsyncIterator[httpx.AsyncClient]:
    async with caller_of(stack) as client:
        yield client


@asynccontextmanager
async def caller_of(stack: Stack) -> AsyncIterator[httpx.AsyncClient]:
    """Yields an HTTP client of the stack's API, with a token."""
    token = mint_token(stack.state / "development", subject="tester", tenant="demo", scopes=SCOPES)
    async with httpx.AsyncClient(
        base_url=stack.url, headers={"authorization": f"Bearer {token}"}, timeout=10
    ) as client:
        yield client


def noting(log: Path, seconds: float, *tasks: str, shards: int = 8, **spec: Any) -> dict[str, Any]:
    """Returns a workflow with a chain of processes that write their starts and ends to a file.

    These are effects that no journal has to be believed for.
    """
    chain = [
        {
            "name": task,
            "type": "process",
            "run": {"command": [sys.executable, "-c", NOTE, str(log), str(seconds)]},
            "needs": list(tasks[index - 1 : index]),
        }
        for index, task in enumerate(tasks)
    ]
    spec = {"tasks": chain, "shards": {"count": shards}} | spec
    return {"apiVersion": "waypost/v1", "kind": "Workflow", "metadata": {"name": "noting"}, "spec": spec}


def effects(log: Path) -> list[tuple[str, int, str, int, str, float]]:
    """Returns the starts and ends that tasks wrote: (start or end, shard, task, epoch, region, time)."""
    lines = (shlex.split(line) for line in log.read_text().splitlines())
    return [
        (word, int(shard), task, int(epoch), region, float(at))
        for word, shard, task, epoch, region, at in lines
    ]


def rows(database: Path, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
    """Returns rows of a store's or journal's file, opened without writing."""
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as db:
        return db.execute(sql, parameters).fetchall()


def history(stack: Stack, run: str) -> list[dict[str, Any]]:
    """Returns the history of a run, read from the file of the gateway's store."""
    found = rows(
        stack.state / "gateway.db",
        "select shard, kind, at, detail from audit where run = ? order by seq",
        run,
    )
    return [
        {"shard": shard, "kind": kind, "at": at, **json.loads(detail)} for shard, kind, at, detail in found
    ]
