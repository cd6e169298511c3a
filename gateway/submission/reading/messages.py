"""What a process that reads documents is asked, and what it answers."""

from typing import TypeAlias

from msgspec import Struct

from gateway.core.decision import Obligations
from gateway.documents.workflow import Workflow
from gateway.settings import DocumentLimits
from waypost.json_pointer import FieldError


class ReaderGreeting(Struct, frozen=True, kw_only=True):
    """The first message to a process: what all documents are checked against."""

    limits: DocumentLimits
    run_types: dict[str, str]
    """The types of a task's `run` by executor, as MODULE:NAME, from where the process imports them."""
    exclusive: frozenset[str]
    """The executors that can keep a task from running twice."""
    regions: frozenset[str]


class ReadRequest(Struct, frozen=True, kw_only=True, array_like=True, tag=True):
    """A document to be read."""

    body: bytes
    media_type: str
    tenant: str
    """Whose it is where it names none."""
    fatal: dict[int, str] = {}
    """The conditions that have ended a process which read this document: the error of each, by number."""


class ObligeRequest(Struct, frozen=True, kw_only=True, array_like=True, tag=True):
    """A document that was read, and is to be changed as policy obliges."""

    canonical: bytes
    obligations: Obligations


ReaderRequest: TypeAlias = ReadRequest | ObligeRequest


class ReadReply(Struct, frozen=True, kw_only=True, array_like=True):
    """What reading a document has brought: its outline and JSON, or what is wrong with it."""

    name: str = ""
    """That of the workflow, where so much could be read."""
    outline: Workflow | None = None
    canonical: bytes = b""
    items: list[bytes] | None = None
    """The items of the shards, each as JSON: the outline has none."""
    task_count: int = 0
    mistakes: list[str] = []
    """Sentences about what the document says and probably does not mean."""
    reason: str = ""
    """That of the error (`gateway/core/errors.py`) for a document that cannot be read; else empty."""
    detail: str = ""
    errors: list[FieldError] = []
