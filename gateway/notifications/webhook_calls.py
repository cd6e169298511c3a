"""Calls a webhook once, at an address that the settings permit, and says in words why it did not take it."""

import asyncio
import ssl
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import httpx

from waypost.egress.allow_list import Egress
from waypost.egress.bounded_connections import ExcessiveAnswer
from waypost.egress.checked_connections import CheckedBackend, CheckedTransport, EgressRefused

RESOLVING: Final = 32
"""The most names that are looked up at once; each occupies a thread, and a slow server of names holds it."""


class WebhookCalls:
    """Calls webhooks, each over a connection of its own, within `seconds`."""

    def __init__(self, egress: Egress, *, seconds: float) -> None:
        self._backend = CheckedBackend(egress, ThreadPoolExecutor(RESOLVING, "notification names"))
        self._tls, self._seconds = ssl.create_default_context(), seconds

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> str:
        """Sends a POST; returns why it was not taken, empty if it was."""
        # No redirects, no proxies of the environment: what was checked is what is called.
        client = httpx.AsyncClient(
            transport=CheckedTransport(self._backend, self._tls), trust_env=False, follow_redirects=False
        )
        try:
            async with (
                asyncio.timeout(self._seconds),
                client,
                client.stream("POST", url, headers=headers, content=body) as answer,
            ):
                # The body is not read: it may have any size.
                return "" if answer.is_success else f"the answer was {answer.status_code}"
        except TimeoutError:
            return f"no answer within {self._seconds:g} s"
        except EgressRefused as error:
            return str(error)
        except ExcessiveAnswer as error:
            return f"the answer is not one of HTTP: {error}"
        # UnicodeError: IDNA knows no such name.
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError, OSError) as error:
            return f"it could not be sent: {type(error).__name__}"
