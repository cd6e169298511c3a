"""Tests that the root and all certificates of a running stack are exchanged without a restart."""

from pathlib import Path

import httpx
import pytest

from gateway.cli.dev.stack import Stack
from tests.integration.conftest import REGIONS, caller_of
from tests.integration.load import load_on
from tests.integration.waiting import described, taking_work, until
from waypost import tls
from waypost.pki import authority
from waypost.tls import Credentials

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


def held(stack: Stack) -> dict[str, Credentials]:
    """Returns the files of certificates that each process of the stack reads, by the process's name."""
    regions = {
        region: tls.cluster_credentials(stack.state / "regions" / region / "pki", region)
        for region in REGIONS
    }
    return {"gateway": tls.gateway_credentials(stack.state / "certificates"), **regions}


async def read_again(stack: Stack, times: int) -> None:
    """Waits until every process has logged that it read its certificates, `times` times in all."""

    async def all_have() -> bool:
        logs = [(stack.state / "logs" / f"{name}.log").read_text() for name in ("gateway", *REGIONS)]
        return all(log.count("certificates were read again") >= times for log in logs)

    await until(all_have, seconds=60)


async def expiry(stack: Stack, certificate: str) -> float:
    async with httpx.AsyncClient() as client:
        lines = (await client.get(f"{stack.metrics_url}/metrics")).text.splitlines()
    wanted = f'waypost_certificate_expiry_timestamp_seconds{{certificate="{certificate}"}} '
    return next(float(line.removeprefix(wanted)) for line in lines if line.startswith(wanted))


async def test_a_new_root_and_new_certificates_under_load(
    stack: Stack, client: httpx.AsyncClient, tmp_path: Path
) -> None:
    """No call fails, no shard moves; new connections are made with the new certificates, which all need."""
    new = tmp_path / "new"
    authority.create_root(new)
    issued = {"gateway": authority.issue_gateway(new, days=30)}
    issued |= {region: authority.issue_cluster(new, region, days=30) for region in REGIONS}
    files, before = held(stack), await expiry(stack, "gateway")
    await taking_work(client, REGIONS)

    async with load_on(stack, ("demo", "payments")) as load:
        for credentials in files.values():  # both roots are trusted
            both = credentials.root.read_bytes() + (new / "ca.pem").read_bytes()
            credentials.root.write_bytes(both)
        await read_again(stack, 1)
        for name, credentials in files.items():  # new pairs, still with both roots
            credentials.key.write_bytes(issued[name].key.read_bytes())
            credentials.certificate.write_bytes(issued[name].certificate.read_bytes())
        await read_again(stack, 2)
        for credentials in files.values():  # the new root alone
            credentials.root.write_bytes((new / "ca.pem").read_bytes())
        await read_again(stack, 3)

    assert {one.status for one in load.submissions} == {202}
    assert await expiry(stack, "gateway") < before
    found = (await client.get("/v1/runs", params={"limit": 100})).json()["items"]
    for run in found[:20]:
        assert all(shard["failovers"] == 0 for shard in (await described(client, run["id"]))["shards"])

    stack.kill("beijing")  # all connections to it are new after this
    await stack.processes["beijing"].wait()
    await stack.start_region("beijing", port=stack.ready["beijing"]["port"])
    async with caller_of(stack) as caller:
        await taking_work(caller, ("beijing",))
