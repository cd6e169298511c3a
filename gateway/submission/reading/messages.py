"""The message types between a gateway and its reader processes: start-up, requests and replies."""

from collections.abc import Mapping
from typing import TypeAlias

from msgspec import Struct

from gateway.core.decision import Obligations
from gateway.documents.workflow import Workflow
from gateway.settings import DocumentLimits
from waypost.json_pointer import FieldError


class ReaderGreeting(Struct, frozen=True, kw_only=True):
    """The start-up message of a reader process: the limits, executors and regions for all documents."""

    limits: DocumentLimits
    run_types: dict[str, str]
    """The msgspec type of a task's `run` for each executor, as MODULE:NAME, which the process imports."""
    exclusive: frozenset[str]
    """The names of executors that can keep a task from running twice."""
    secrets: frozenset[str]
    """The names of executors that give secrets to their tasks."""
    engines: Mapping[str, str]
    """The engine of each region's cluster, by the region's name."""


class ReadRequest(Struct, frozen=True, kw_only=True, array_like=True, tag=True):
    """A request to a reader process to parse and check a document."""

    body: bytes
    media_type: str
    tenant: str
    """The tenant that the workflow gets if the document names none."""
    for_run: bool = True
    """Whether it is read as it runs: labels filled in, and only the targets. Not to release a version."""
    fatal: dict[int, str] = {}
    """By number, the conditions that ended a process which read this document, with an error for each."""


class ObligeRequest(Struct, frozen=True, kw_only=True, array_like=True, tag=True):
    """A request to a reader process to apply policy's obligations to a document that was already read."""

    canonical: bytes
    obligations: Obligations


ReaderRequest: TypeAlias = ReadRequest | ObligeRequest


class ReadReply(Struct, frozen=True, kw_only=True, array_like=True):
    """The reply to a `ReadRequest`: the workflow's outline (one task per type) and JSON, or the errors."""

    name: str = ""
    """The name of the workflow, if it could be read."""
    outline: Workflow | None = None
    canonical: bytes = b""
    items: list[bytes] | None = None
    """The items of the shards, each as JSON, which the outline lacks."""
    task_count: int = 0
    stage_tasks: tuple[int, int] = (0, 0)
    """The numbers of tasks in the stages `collect` and `finally`."""
    mistakes: list[str] = []
    """The warnings about likely mistakes in the document, as sentences."""
    reason: str = ""
    """The reason of the error (`gateway/core/errors.py`) for a document that cannot be read; else empty."""
    detail: str = ""
    errors: list[FieldError] = []
