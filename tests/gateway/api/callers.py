"""Clients of the API in tests, beside the fixture `client`."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from msgspec import structs

from gateway.api.http.services import Services
from gateway.api.routes import api
from gateway.policy.opa.address import OpaAddress
from gateway.policy.opa.engine import OpaPolicyEngine
from tests.gateway.api.description import described


@asynccontextmanager
async def caller(services: Services, token: str = "payments.ada", **changes: Any) -> AsyncIterator[Any]:
    """A client with a token of its own, of a gateway with other services."""
    transport = httpx.ASGITransport(api(structs.replace(services, **changes)))
    headers = {"authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway", headers=headers) as client:
        yield client


@asynccontextmanager
async def caller_of(services: Services, opa: OpaAddress, *, ca: Path | None = None) -> AsyncIterator[Any]:
    """A client of a gateway that asks `opa`; what it is answered must be as the API is described."""
    engine = OpaPolicyEngine(opa, ca=None if ca is None else str(ca))
    async with engine, caller(services, policy=engine) as client:
        client.event_hooks = {"response": [described]}
        yield client


async def answered(client: Any, method: str, path: str, **options: Any) -> Any:
    """What policy says in the end: on a busy machine a clear answer may come after the deadline."""
    async with asyncio.timeout(20):
        while (answer := await client.request(method, path, **options)).status_code == 503:
            await asyncio.sleep(0)
    return answer
