"""The messages between a gateway and its reader processes: start-up, requests to read, what was read."""

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
    """The types of a task's `run` by executor, as MODULE:NAME, from where the process imports them."""
    exclusive: frozenset[str]
    """The names of executors that can keep a task from running twice."""
    regions: frozenset[str]


class ReadRequest(Struct, frozen=True, kw_only=True, array_like=True, tag=True):
    """A request to a reader process to read and check a document."""

    body: bytes
    media_type: str
    tenant: str
    """The tenant of a document that names none."""
    fatal: dict[int, str] = {}
    """The errors of conditions that ended a process which read this document, by the condition's number."""


class ObligeRequest(Struct, frozen=True, kw_only=True, array_like=True, tag=True):
    """A request to apply policy's obligations (changes, limits) to a document that was already read."""

    canonical: bytes
    obligations: Obligations


ReaderRequest: TypeAlias = ReadRequest | ObligeRequest


class ReadReply(Struct, frozen=True, kw_only=True, array_like=True):
    """What a `ReadRequest` read: the document's outline (one task per type) and JSON, or its errors."""

    name: str = ""
    """The name of the workflow, if it could be read."""
    outline: Workflow | None = None
    canonical: bytes = b""
    items: list[bytes] | None = None
    """The items of the shards, each as JSON, which the outline lacks."""
    task_count: int = 0
    mistakes: list[str] = []
    """The warnings about likely mistakes in the document, as sentences."""
    reason: str = ""
    """The reason of the error (`gateway/core/errors.py`) for a document that cannot be read; else empty."""
    detail: str = ""
    errors: list[FieldError] = []
