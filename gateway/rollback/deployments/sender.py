"""Sends the request that rolls an external deployment back: with time limits and retries, no redirects."""

import asyncio
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

import httpx
import stamina

from gateway.core.errors import Conflict
from gateway.core.rollback import Rollback
from gateway.rollback.deployments.request import rollback_request
from gateway.rollback_settings import ExternalDeployment
from waypost.tls import PkiError, roots_context

ATTEMPTS: Final = 3
RETRIED: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
"""The statuses after which the same request is sent again, with the same idempotency key."""
SECRET_MAXIMUM_BYTES: Final = 16_384
TOKEN: Final = re.compile(r"[!#-\[\]-~]+")
"""The form of a token: ASCII without spaces, quotes and backslashes, since it is put into templates."""


class SecretError(Exception):
    """Raised where a secret that the settings refer to cannot be read. The text does not show it."""


class _Again(Exception):
    """Raised for an answer after which the request is sent again. The text is its status."""


def read_secret(reference: str) -> str:
    """Reads the secret that `file:PATH` or `env:NAME` refers to, without spaces around it.

    Raises `SecretError` where it is missing, empty or too long.
    """
    scheme, _, place = reference.partition(":")
    if scheme == "env":
        secret = os.environ.get(place, "")
    else:
        try:
            with Path(place).open("rb") as file:
                secret = file.read(SECRET_MAXIMUM_BYTES + 1).decode()
        except (OSError, UnicodeDecodeError) as error:
            raise SecretError(f"the secret {reference} cannot be read: {type(error).__name__}") from error
    secret = secret.strip()
    if not secret or len(secret) > SECRET_MAXIMUM_BYTES or not secret.isprintable():
        raise SecretError(f"the secret {reference} is missing, too long, or has more than one line")
    return secret


async def send_rollback(
    deployment: ExternalDeployment,
    rollback: Rollback,
    *,
    clock: Callable[[], float],
    transport: httpx.AsyncBaseTransport | None = None,
) -> int:
    """Sends the request for a rollback, at most three times, and returns the status of the good answer.

    Secrets are read each time, so that they can be changed while the gateway runs. Raises `Conflict` where no
    good answer came: the text says why, and shows neither the address nor a secret.
    """
    try:
        token, key, client = await asyncio.to_thread(_prepare, deployment, transport)
    except (SecretError, PkiError) as error:
        raise Conflict(str(error)) from error
    try:
        async with asyncio.timeout(deployment.seconds), client:
            async for attempt in stamina.retry_context(
                on=(httpx.TransportError, _Again),
                attempts=ATTEMPTS,
                timeout=None,
                wait_initial=0.2,
                wait_max=2,
            ):
                with attempt:
                    # Signed each time: the receiver refuses an old timestamp.
                    request = rollback_request(deployment, rollback, token=token, key=key, now=clock())
                    return await _send(client, request.method, request.url, request.headers, request.body)
    except TimeoutError as error:
        raise Conflict(f"no answer within {deployment.seconds:g} s: it may have been done") from error
    except _Again as error:
        raise Conflict(f"the answer was {error}, {ATTEMPTS} times") from error
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        raise Conflict(f"it could not be sent: {type(error).__name__}") from error
    raise AssertionError("stamina raises the last error")


def _prepare(
    deployment: ExternalDeployment, transport: httpx.AsyncBaseTransport | None
) -> tuple[str, str | None, httpx.AsyncClient]:
    """Reads the token and key of a deployment, and builds a client. It reads files: not on the event loop."""
    token = "" if deployment.token is None else read_secret(deployment.token)
    if token and not TOKEN.fullmatch(token):
        raise SecretError("the token has characters that no header or JSON text takes as they are")
    key = None if deployment.key is None else read_secret(deployment.key)
    # No redirects, no proxies of the environment: the request has a secret, and is for this address alone.
    client = httpx.AsyncClient(
        verify=True if deployment.ca is None else roots_context(deployment.ca),
        follow_redirects=False,
        trust_env=False,
        timeout=deployment.seconds,
        transport=transport,
    )
    return token, key, client


async def _send(
    client: httpx.AsyncClient, method: str, url: str, headers: dict[str, str], body: bytes
) -> int:
    async with client.stream(method, url, headers=headers, content=body) as answer:
        if answer.status_code in RETRIED:
            raise _Again(str(answer.status_code))
        # The body is not read: it may have any size, and the deployment is verified by its metrics.
        if not answer.is_success:
            raise Conflict(f"the answer was {answer.status_code}")
        return answer.status_code
