"""Finds out which executors this host can run, and starts them."""

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any

from loguru import logger
from msgspec import Struct

from clusters.embedded.executors.interface import Executor, ExecutorContext
from clusters.embedded.executors.registry import (
    EXECUTORS,
    RegisteredExecutor,
    registered_executors,
    third_party_executors,
)


class HostExecutors(Struct, frozen=True, kw_only=True):
    """The executors of an installation: those that this host can run, and why it cannot run others."""

    available: Mapping[str, RegisteredExecutor[Any]]
    unavailable: Mapping[str, str]
    """The reason, as a sentence, by the name of the executor."""


async def find_executors(context: ExecutorContext, settings: Mapping[str, Struct]) -> HostExecutors:
    """Asks every executor, with its settings, whether this host can run it.

    An executor of another package that fails meanwhile is unavailable, too.
    """
    available: dict[str, RegisteredExecutor[Any]] = {}
    unavailable = dict(third_party_executors().broken)
    for name, entry in registered_executors().items():
        try:
            # In a thread: it may ask a daemon, and wait for it.
            why = await asyncio.to_thread(entry.unavailable, context, settings[name])
        except Exception as error:
            if name in EXECUTORS:
                raise
            why = _failure(error)
        if why:
            unavailable[name] = why
        else:
            available[name] = entry
    return HostExecutors(available=available, unavailable=unavailable)


async def start_executors(
    stack: AsyncExitStack, context: ExecutorContext, settings: Mapping[str, Struct]
) -> tuple[Mapping[str, Executor], Mapping[str, RegisteredExecutor[Any]]]:
    """Starts, on `stack`, the executors that this host can run; returns them and their entries, by name.

    Logs why it cannot run the others. An executor of another package whose start fails is left out; one of
    ours raises.
    """
    found = await find_executors(context, settings)
    unavailable = dict(found.unavailable)
    executors: dict[str, Executor] = {}
    for name, entry in found.available.items():
        try:
            executors[name] = await stack.enter_async_context(entry.build(context, settings[name]))
        except Exception as error:
            if name in EXECUTORS:
                raise
            unavailable[name] = _failure(error)
    for name, why in unavailable.items():
        logger.warning("this cluster runs no {} tasks: {}", name, why)
    # A cluster advertises no others.
    return executors, {name: found.available[name] for name in executors}


def _failure(error: Exception) -> str:
    return f"it failed: {type(error).__name__}: {error}"
