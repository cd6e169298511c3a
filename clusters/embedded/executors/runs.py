"""What `run` holds for each executor that ships with us. Types only: the gateway checks documents against them."""

from collections.abc import Mapping
from typing import Annotated, Final

from msgspec import Meta, Struct


class ProcessRun(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A command, without a shell. Its environment is `env` and what Waypost sets, nothing of the cluster's own."""

    command: Annotated[tuple[str, ...], Meta(min_length=1)]
    env: dict[str, str] = {}
    working_directory: str | None = None
    """Relative to the shard's workspace."""


class DelayRun(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Does nothing for so long."""

    seconds: Annotated[float, Meta(ge=0, le=31_536_000)]


RUN_TYPES: Final[Mapping[str, type[Struct]]] = {"process": ProcessRun, "delay": DelayRun}

EXCLUSIVE: Final = frozenset({"process", "delay"})
"""Executors that end a task for sure before its lease does."""
