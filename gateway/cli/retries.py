"""A gateway that is started again is waited for, and whoever waits is told so once."""

from collections.abc import Iterator

import httpx
import stamina
from stamina.instrumentation import RetryDetails, set_on_retry_hooks

from gateway.cli.output import console


def attempts() -> Iterator[stamina.Attempt]:
    """Each is entered with `with`; one that fails for want of an answer is followed by another, for a minute in all."""
    set_on_retry_hooks([_tell])
    return iter(
        stamina.retry_context(
            on=httpx.TransportError, attempts=20, timeout=60.0, wait_initial=0.2, wait_max=2.0
        )
    )


def _tell(details: RetryDetails) -> None:
    if details.retry_num == 1:
        console(stderr=True).print("the gateway does not answer; trying again", markup=False)
