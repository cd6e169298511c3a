"""Submits work all the time from several tenants, and notes the time and the outcome of each submission."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec
from msgspec import Struct

from gateway.cli.dev.stack import Stack
from gateway.identity.development_issuer import mint_token
from gateway.policy.bundle import SHIPPED_POLICIES, read_bundle
from gateway.policy.opa.bundle_archive import pack_bundle
from waypost.cancellation import cancel_and_wait

WORK: Final[dict[str, Any]] = {
    "apiVersion": "waypost/v1",
    "kind": "Workflow",
    "metadata": {"name": "load"},
    "spec": {"tasks": [{"name": "wait", "type": "delay", "run": {"seconds": 0}}]},
}
PAUSE_SECONDS: Final = 0.03


class Submission(Struct, frozen=True):
    """One submission: its tenant, the time of its start by the machine's clock, and the status it got.

    `released`: the version of a released workflow that it runs, as `nightly@2`.
    """

    tenant: str
    at: float
    status: int
    released: str


class Load:
    """The submissions so far. `refused` are those that policy has refused."""

    def __init__(self) -> None:
        self.submissions: list[Submission] = []

    @property
    def refused(self) -> list[Submission]:
        return [one for one in self.submissions if one.status == 403]

    def since(self, at: float) -> list[Submission]:
        """Returns the submissions that were begun after `at`."""
        return [one for one in self.submissions if one.at > at]

    async def submit_all_the_time(
        self, client: httpx.AsyncClient, tenant: str, work: dict[str, Any], pause: float
    ) -> None:
        while True:
            at = time.time()
            answer = await client.post("/v1/runs", json=work)
            released = answer.json().get("released") or ""
            self.submissions.append(Submission(tenant, at, answer.status_code, released))
            await asyncio.sleep(pause)


@asynccontextmanager
async def load_on(
    stack: Stack, tenants: Sequence[str], work: dict[str, Any] = WORK, *, pause: float = PAUSE_SECONDS
) -> AsyncIterator[Load]:
    """Submits small workflows as each of `tenants`, some 30 a second for each, or with another `pause`."""
    load, clients, tasks = Load(), [], []
    try:
        for tenant in tenants:
            token = mint_token(
                stack.state / "development", subject="load", tenant=tenant, scopes=("workflows:submit",)
            )
            client = httpx.AsyncClient(
                base_url=stack.url, headers={"authorization": f"Bearer {token}"}, timeout=10
            )
            clients.append(client)
            tasks.append(asyncio.create_task(load.submit_all_the_time(client, tenant, work, pause)))
        yield load
    finally:
        await cancel_and_wait(tasks)
        for client in clients:
            await client.aclose()


def bundle(folder: Path, sequence: int, **data: Any) -> bytes:
    """Returns the archive of a bundle of the rules that ship, with `data` in place of some of their data."""
    shipped = msgspec.json.decode((SHIPPED_POLICIES / "data.json").read_bytes())
    file = folder / f"data-{sequence}.json"
    file.write_bytes(msgspec.json.encode(shipped | data))
    return pack_bundle(read_bundle(SHIPPED_POLICIES, file), sequence=sequence)


async def released(client: httpx.AsyncClient, archive: bytes, step: str, **body: Any) -> None:
    """Uploads a bundle and takes one step of its rollout, such as `activate` or `canary`."""
    answer = await client.post("/v1/policy/bundles", content=archive)
    assert answer.status_code == 201, answer.text
    path = f"{answer.headers['location']}/{step}"
    answer = await client.post(path, headers={"if-match": answer.headers["etag"]}, json=body)
    assert answer.status_code == 200, answer.text
