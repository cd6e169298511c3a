"""Retries HTTP calls while a gateway does not answer, as during its restart."""

import math
import time
from collections.abc import Iterator
from typing import Final

import httpx
import stamina
from stamina.instrumentation import RetryDetails, set_on_retry_hooks

from gateway.cli.output import console

ATTEMPTS_MAXIMUM: Final = 20
TIMEOUT_SECONDS: Final = 60.0
"""The time limit in seconds of all attempts together."""
SHORTEST_SECONDS: Final = 0.001
NOTICE: Final = "the gateway does not answer; trying again"
"""What standard error says at the first retry of an interruption."""


def attempts(*, until: float = math.inf) -> Iterator[stamina.Attempt]:
    """Yields attempts at an HTTP call, each to be entered with `with`, until one gets a response.

    Raises the last transport error after `ATTEMPTS_MAXIMUM` attempts or `TIMEOUT_SECONDS`, or at `until` on
    the monotonic clock; the first attempt is always made. A response that refuses the call is not retried.
    """
    # Per call: stamina's hooks are the process's, and by default they log each retry.
    set_on_retry_hooks([_print_notice])
    return iter(
        stamina.retry_context(
            on=httpx.TransportError,
            attempts=ATTEMPTS_MAXIMUM,
            timeout=min(TIMEOUT_SECONDS, max(SHORTEST_SECONDS, until - time.monotonic())),
            wait_initial=0.2,
            wait_max=2.0,
        )
    )


def _print_notice(details: RetryDetails) -> None:
    # once for each interruption, not for each retry
    if details.retry_num == 1:
        console(stderr=True).print(NOTICE, markup=False)
