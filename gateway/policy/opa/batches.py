"""Sends a tenant's policy queries to OPA in batches: those that wait for a call under way share the next.

A call costs the gateway 0.35 ms of processor time; where sixteen queries share it, 0.05 ms for each. A query
that comes alone waits for nobody. Queries can share a call, and carry numbers, where the bundle has the rules
of the package `waypost.batch`; by its number an answer to another query is recognized. Tenants do not share
calls: a document that takes long, or whose evaluation fails, delays none but its own tenant.
"""

import asyncio
import itertools
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeAlias

import msgspec
from loguru import logger
from msgspec import UNSET, Struct, UnsetType, structs

from gateway.policy.opa.reply import NoAnswer, Reply, ReplyError

BATCH_MAXIMUM: Final = 16
BATCH_MAXIMUM_BYTES: Final = 49_152
"""The maximum bytes of all documents in a call: OPA evaluates them in sequence, within one deadline."""
SMALL_BYTES: Final = 16_384
"""The document size in bytes above which a question is sent alone and at once."""
MODULE_NAME: Final = "waypost_batch.rego"
PACKAGE: Final = "data.waypost.batch"
RULES: Final = {f"data.waypost.{name}.decision": name for name in ("submission", "placement", "access")}
"""The rules that may be queried several times in one call, by full name, with their name in the package."""
MODULE: Final = Path(__file__).with_name("batch.rego").read_text(encoding="utf-8")


Call: TypeAlias = Callable[[str, bytes], Awaitable[Reply]]
"""A function that queries the value of a rule for a document. Raises `NoAnswer` or `ReplyError`."""


class _NoRules(ReplyError):
    """Raised if the bundle in OPA has no rules that answer several policy queries in one call."""


class WaitingQuestion(Struct, frozen=True, eq=False):
    """A policy query that waits to be sent to OPA, with the future of its answer."""

    document: bytes
    reply: asyncio.Future[Reply]


class Lane(Struct, eq=False):
    """The queue of one tenant's policy queries to one rule, which wait for the end of a call under way."""

    rule: str
    tenant: str
    waiting: list[WaitingQuestion] = msgspec.field(default_factory=list)


class QuestionBatches:
    """Sends policy queries to OPA, several in one call; `call` makes one call within a deadline.

    A query that waits for its turn is answered within `seconds`, or not at all. Where a call gets no answer,
    the queries that wait for its end get none either.
    """

    def __init__(self, call: Call, *, seconds: float) -> None:
        self._call, self._seconds = call, seconds
        # Each question has a number that no other one had, of this gateway or, by all chance, of another:
        # a proxy that mixes up answers gives nobody the permission of somebody else.
        self._numbers = itertools.count(int.from_bytes(os.urandom(6), "big"))
        self._lanes: dict[tuple[str, str], Lane] = {}
        self._sending: set[asyncio.Task[None]] = set()
        self._revision_without: str | None = None
        """The revision in OPA that has no rules for numbered questions; None if it may have them."""

    def __repr__(self) -> str:
        waiting = sum(len(lane.waiting) for lane in self._lanes.values())
        return f"<QuestionBatches: {len(self._lanes)} lanes, {waiting} waiting>"

    async def ask(self, rule: str, document: bytes, *, tenant: str) -> Reply:
        """Asks OPA for the value of `rule` with the JSON `document` as input, in the queue of `tenant`.

        Raises `NoAnswer` if OPA does not answer in time, `ReplyError` for an unusable answer.
        """
        if rule not in RULES or len(document) > SMALL_BYTES:
            return await self._ask_one(rule, document)
        lane = self._lanes.get((rule, tenant))
        if lane is not None:
            question = WaitingQuestion(document, asyncio.get_running_loop().create_future())
            lane.waiting.append(question)
            try:
                async with asyncio.timeout(self._seconds):
                    return await question.reply
            except TimeoutError:
                raise NoAnswer(f"no turn and no answer within {self._seconds} s") from None
        self._lanes[rule, tenant] = lane = Lane(rule, tenant)
        try:
            return await self._ask_one(rule, document)
        except NoAnswer as error:
            _fail(lane.waiting, error)
            raise
        finally:
            self._after_call(lane)

    async def close(self) -> None:
        """Cancels the calls to OPA under way; the policy queries in them get an error."""
        for task in tuple(self._sending):
            task.cancel()
        await asyncio.gather(*self._sending, return_exceptions=True)

    def _after_call(self, lane: Lane) -> None:
        """Starts the next call to OPA for a tenant's queue (`lane`), or removes the queue if it is empty."""
        # Nobody waits any more for those whose caller has gone, or which have failed.
        waiting = [question for question in lane.waiting if not question.reply.done()]
        count = _count_of_batch(waiting)
        batch, lane.waiting = waiting[:count], waiting[count:]
        if batch:
            task = asyncio.create_task(self._send(lane, batch))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)
        else:
            del self._lanes[lane.rule, lane.tenant]

    async def _send(self, lane: Lane, batch: list[WaitingQuestion]) -> None:
        """Sends the policy queries of `batch` to OPA in one call, and gives each its answer or the error."""
        replies: list[Reply | BaseException] = []
        try:
            replies = await self._ask_all(lane.rule, [question.document for question in batch])
        except asyncio.CancelledError:
            replies = [ReplyError("the engine is not running")] * len(batch)
            raise
        except NoAnswer as error:
            replies = [error] * len(batch)
            _fail(lane.waiting, error)
        finally:
            for question, reply in zip(batch, replies, strict=True):
                if question.reply.done():
                    continue
                if isinstance(reply, Reply):
                    question.reply.set_result(reply)
                else:
                    question.reply.set_exception(reply)
            self._after_call(lane)

    async def _ask_all(self, rule: str, documents: list[bytes]) -> list[Reply | BaseException]:
        if len(documents) > 1 and self._revision_without is None:
            try:
                return list(await self._ask_together(rule, documents))
            except ReplyError:
                # One of them may have failed, and the answer does not say which.
                pass
        alone = (self._ask_one(rule, document) for document in documents)
        return await asyncio.gather(*alone, return_exceptions=True)

    async def _ask_one(self, rule: str, document: bytes) -> Reply:
        """Sends one policy query to OPA, with a number by which an answer to another query is recognized."""
        if rule in RULES and self._revision_without is None:
            with suppress(_NoRules):
                return (await self._ask_together(rule, [document]))[0]
        reply = await self._call(rule, document)
        if reply.revision != self._revision_without:
            self._revision_without = None
        return reply

    async def _ask_together(self, rule: str, documents: list[bytes]) -> list[Reply]:
        numbers = [next(self._numbers) for _ in documents]
        asked = b",".join(b'"%d":%b' % one for one in zip(numbers, documents, strict=True))
        reply = await self._call(f"{PACKAGE}.{RULES[rule]}", b'{"questions":{%b}}' % asked)
        if reply.result is UNSET:
            if reply.revision != self._revision_without:
                logger.warning(
                    "OPA's bundle {} has no rules for numbered questions: each opens a connection, with a TLS"
                    " handshake for https; pack it with `waypost policy build`",
                    reply.revision,
                )
            self._revision_without = reply.revision
            raise _NoRules("its bundle has no rules for several questions")
        try:
            results = msgspec.json.decode(reply.result, type=dict[str, msgspec.Raw])
        except (ValueError, RecursionError) as error:
            raise ReplyError("it does not answer several questions") from error

        def result(number: int) -> msgspec.Raw | UnsetType:
            return results.get(str(number), UNSET)

        return [structs.replace(reply, result=result(number)) for number in numbers]


def _fail(waiting: list[WaitingQuestion], error: NoAnswer) -> None:
    for question in waiting:
        if not question.reply.done():
            question.reply.set_exception(error)


def _count_of_batch(waiting: list[WaitingQuestion]) -> int:
    """Returns how many of the waiting policy queries, from the first on, share the next call to OPA.

    Those are at most `BATCH_MAXIMUM` queries with `BATCH_MAXIMUM_BYTES` of documents together.
    """
    sizes = itertools.accumulate(len(question.document) for question in waiting[:BATCH_MAXIMUM])
    return sum(size <= BATCH_MAXIMUM_BYTES for size in sizes)
