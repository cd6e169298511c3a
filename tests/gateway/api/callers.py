"""Clients of the API in tests, beside the fixture `client`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from msgspec import structs

from gateway.api.http.services import Services
from gateway.api.routes import api


@asynccontextmanager
async def caller(services: Services, token: str = "payments.ada", **changes: Any) -> AsyncIterator[Any]:
    """A client with a token of its own, of a gateway with other services."""
    transport = httpx.ASGITransport(api(structs.replace(services, **changes)))
    headers = {"authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway", headers=headers) as client:
        yield client
