"""HTTP clients of the API for tests, beside the fixture `client`."""

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
    """Yields an HTTP client with a token of its own, of a gateway with changed services."""
    transport = httpx.ASGITransport(api(structs.replace(services, **changes)))
    headers = {"authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway", headers=headers) as client:
        yield client


@asynccontextmanager
async def caller_of(
    services: Services, opa: OpaAddress, *, ca: Path | None = None, deadline_seconds: float = 0.1
) -> AsyncIterator[Any]:
    """Yields a client of a gateway whose policy engine is `opa`.

    Checks its answers by the API description.
    """
    engine = OpaPolicyEngine(opa, ca=None if ca is None else str(ca), deadline_seconds=deadline_seconds)
    async with engine, caller(services, policy=engine) as client:
        client.event_hooks = {"response": [described]}
        yield client


async def answered(client: Any, method: str, path: str, **options: Any) -> Any:
    """Repeats a request until the answer is not a 503, and returns that answer.

    On a busy machine a clear answer of policy may come after its deadline.
    """
    async with asyncio.timeout(20):
        while (answer := await client.request(method, path, **options)).status_code == 503:
            await asyncio.sleep(0)
    return answer
