"""`DocumentReader`, which parses and checks documents in a pool of processes that can be killed."""

import signal
from collections.abc import Mapping
from typing import Final, NoReturn, Protocol

import msgspec
from msgspec import Struct

from gateway.core.decision import Obligations
from gateway.core.errors import (
    GatewayError,
    Invalid,
    Malformed,
    TooLarge,
    TooManyRequests,
    Unavailable,
    UnsupportedMediaType,
)
from gateway.documents.workflow import Workflow
from gateway.settings import DocumentLimits
from gateway.submission.reading.messages import (
    ObligeRequest,
    ReaderGreeting,
    ReaderRequest,
    ReadReply,
    ReadRequest,
)
from gateway.submission.reading.outline import with_items
from waypost.worker_pool import WorkerBusy, WorkerEnded, WorkerError, WorkerPool
from waypost.workflow.run_types import DeclaredExecutors

WAIT_SECONDS: Final = 15.0
"""The seconds after which a reader process without an answer is killed; a document takes at most 0.5 s."""
FATAL_MAXIMUM: Final = 8
"""The maximum number of conditions of one document that may each kill a reader process."""
ERRORS: Final[dict[str, type[GatewayError]]] = {
    error.reason: error for error in (Malformed, TooLarge, UnsupportedMediaType, Invalid)
}
"""The error classes of a document that cannot be read, by the error's reason."""


class Reading(Struct, frozen=True, kw_only=True):
    """A workflow document that was read without errors: the workflow, its JSON and warnings."""

    workflow: Workflow
    """The workflow, or its outline (`outline_of`) if a reader process read it."""
    whole: bool
    """Whether `workflow` is the whole workflow and not an outline."""
    canonical: bytes
    """The JSON of the whole workflow."""
    task_count: int
    stage_tasks: tuple[int, int] = (0, 0)
    """The numbers of tasks in the stages `collect` and `finally` of the whole workflow."""
    mistakes: list[str]
    """The warnings about likely mistakes in the document, as sentences."""


class Pool(Protocol):
    """The interface of the process pool that a `DocumentReader` calls."""

    async def call(self, request: bytes, *, caller: str) -> bytes: ...


def reader_greeting(
    limits: DocumentLimits, executors: DeclaredExecutors, engines: Mapping[str, str]
) -> bytes:
    """Encodes the start-up message of a reader process: limits, executors, and `engines` by region."""
    types = executors.run_types.items()
    greeting = ReaderGreeting(
        limits=limits,
        run_types={name: f"{run.__module__}:{run.__qualname__}" for name, run in types},
        exclusive=executors.exclusive,
        secrets=executors.secrets,
        engines=engines,
    )
    return msgspec.msgpack.encode(greeting)


def reader_pool(greeting: bytes, *, size: int) -> WorkerPool:
    """Creates the pool of processes that read workflow documents."""
    return WorkerPool(
        "gateway.submission.reading.worker_main", size=size, budget_seconds=WAIT_SECONDS, greeting=greeting
    )


class DocumentReader:
    """Parses and checks workflow documents in a pool of reader processes, by turns of the tenants."""

    def __init__(self, limits: DocumentLimits, pool: Pool) -> None:
        self._limits, self._pool = limits, pool

    def __repr__(self) -> str:
        return f"DocumentReader({self._pool})"

    async def read(
        self,
        body: bytes,
        media_type: str,
        *,
        tenant: str,
        log_fields: dict[str, str] | None = None,
        for_run: bool = True,
    ) -> Reading:
        """Parses and checks a document of `tenant` in a reader process; returns the workflow.

        Raises `Malformed` (neither JSON nor YAML), `TooLarge`, `UnsupportedMediaType`, `Invalid` with every
        error, `TooManyRequests` if too many documents of the tenant wait, or `Unavailable` if no process can
        be asked. The workflow's name, once read, is put into `log_fields`. With `for_run`
        it is read as it runs: labels filled in, and only the tasks that its targets need.
        """
        fatal: dict[int, str] = {}
        while True:
            request = ReadRequest(
                body=body, media_type=media_type, tenant=tenant, for_run=for_run, fatal=fatal
            )
            try:
                answer = await self._ask(request, tenant)
            except WorkerEnded as error:
                if not error.progress or error.progress in fatal or len(fatal) >= FATAL_MAXIMUM:
                    raise Unavailable(f"the document cannot be read now: {error}") from error
                fatal[error.progress] = self._fatal_error(error)
                continue
            reply = msgspec.msgpack.decode(answer, type=ReadReply)
            if log_fields is not None and reply.name:
                log_fields["name"] = reply.name
            if reply.outline is None:
                _refuse(reply)
            return Reading(
                workflow=with_items(reply.outline, reply.items),
                whole=False,
                canonical=reply.canonical,
                task_count=reply.task_count,
                stage_tasks=reply.stage_tasks,
                mistakes=reply.mistakes,
            )

    async def oblige(self, canonical: bytes, obligations: Obligations, *, tenant: str) -> bytes:
        """Applies policy's obligations to a document in a reader process; returns the document's JSON.

        Raises `TooManyRequests` if too many documents of the tenant wait, or `Unavailable` if no process can
        be asked or it ends before it has answered.
        """
        try:
            return await self._ask(ObligeRequest(canonical=canonical, obligations=obligations), tenant)
        except WorkerEnded as error:
            raise Unavailable(f"the document cannot be read now: {error}") from error

    async def _ask(self, request: ReaderRequest, tenant: str) -> bytes:
        """Sends a request to the process pool and returns the answer.

        Raises `WorkerEnded` if the process ended, `TooManyRequests` if too many requests of the tenant wait,
        and `Unavailable` if too many wait in all or no process starts.
        """
        try:
            return await self._pool.call(msgspec.msgpack.encode(request), caller=tenant)
        except WorkerEnded:
            raise
        except WorkerBusy as error:
            kind = TooManyRequests if error.caller else Unavailable
            raise kind(f"documents cannot be read now: {error}") from error
        except WorkerError as error:
            raise Unavailable(f"documents cannot be read now: {error}") from error

    def _fatal_error(self, error: WorkerEnded) -> str:
        """Returns the error text for a condition whose evaluation ended the reader process."""
        if error.signal == signal.SIGPROF:
            return f"takes more than {self._limits.condition_seconds:g} s of processor time"
        return "cannot be evaluated: it is more than the evaluator can bear"


def _refuse(reply: ReadReply) -> NoReturn:
    raise ERRORS[reply.reason](reply.detail, errors=reply.errors)
