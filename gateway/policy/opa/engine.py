"""The policy engine that asks an OPA within a deadline; anything but a clear answer is a refusal."""

import asyncio
import time
from contextlib import suppress
from typing import Final, Self

import msgspec
from loguru import logger
from msgspec import UNSET

from gateway.core.decision import Decision, Question
from gateway.core.errors import Unavailable
from gateway.policy.answer import AnswerError, PolicyAnswer, parse_answer
from gateway.policy.circuit_breaker import CircuitBreaker
from gateway.policy.decisions import DecisionFactory
from gateway.policy.opa.address import OpaAddress
from gateway.policy.opa.batches import PACKAGE, QuestionBatches
from gateway.policy.opa.client import StrictOpaClient
from gateway.policy.opa.reply import NoAnswer, Reply, ReplyError, brief
from gateway.policy.question import ENTRY_POINTS, QuestionError, encode_question
from waypost.cancellation import cancel_and_wait

ENGINE_NAME: Final = "opa"
LARGE_BYTES: Final = 65_536
"""The document size in bytes above which the longer deadline applies."""
PROBE_SECONDS: Final = 0.1
"""The pause between two health checks of an OPA while the circuit breaker is open."""
NO_RULE: Final = "data.waypost.none"
"""A rule that no bundle has: a query of it returns the bundle's revision and evaluates nothing."""


class OpaPolicyEngine:
    """Answers policy queries by asking the OPA at `address`. Implements `PolicyEngine`.

    That OPA must have loaded the rules as a bundle with a revision. Where it does not answer within
    `deadline_seconds` (`large_deadline_seconds` for a document over 64 KiB), the decision is a refusal with
    `fault` set. The engine starts without OPA too, and refuses likewise until OPA answers.
    """

    def __init__(
        self,
        address: OpaAddress,
        *,
        ca: str | None = None,
        token: str | None = None,
        deadline_seconds: float = 0.1,
        large_deadline_seconds: float = 1.0,
    ) -> None:
        self._address = address
        self._client = StrictOpaClient(address, ca=ca, token=token)
        self._deadline_seconds = deadline_seconds
        self._large_deadline_seconds = large_deadline_seconds
        # One deadline for the call before it, and one for its own.
        self._batches = QuestionBatches(self._call, seconds=2 * deadline_seconds)
        self._breaker = CircuitBreaker()
        self._probing: asyncio.Task[None] | None = None
        self._revision = ""
        self._decisions = DecisionFactory(ENGINE_NAME)

    def __repr__(self) -> str:
        return f"<OpaPolicyEngine at {self._address}, revision {self._revision!r}, {self._breaker}>"

    async def __aenter__(self) -> Self:
        await self._client.__aenter__()
        try:
            await self.check()
        except Unavailable as error:
            logger.warning("policy: {}", error.detail)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._probing is not None:
            await cancel_and_wait([self._probing])
        await self._batches.close()
        await self._client.__aexit__()

    @property
    def revision(self) -> str:
        return self._revision

    async def check(self) -> None:
        try:
            self._note(await self._call(NO_RULE, b"{}"))
        except (NoAnswer, ReplyError) as error:
            raise Unavailable(f"OPA at {self._address}: {error}") from error

    async def decide(self, question: Question) -> Decision:
        started = time.perf_counter()
        revision = self._revision
        try:
            reply = await self._ask(question)
            revision = self._note(reply)
            answer = _answer_of(reply)
        except (QuestionError, NoAnswer, ReplyError, AnswerError) as error:
            # Default deny: without an answer the decision refuses.
            seconds = time.perf_counter() - started
            return self._decisions.faulty(question, str(error), revision=revision, duration_seconds=seconds)
        seconds = time.perf_counter() - started
        return self._decisions.answered(
            question,
            answer,
            revision=revision,
            duration_seconds=seconds,
            engine_decision_id=reply.decision_id,
        )

    async def _ask(self, question: Question) -> Reply:
        document = _checked(encode_question(question))
        if self._breaker.is_open:
            raise NoAnswer(f"it is not asked until it answers again: {self._breaker.cause}")
        rule, tenant = ENTRY_POINTS[question.action], question.principal.tenant
        return await self._batches.ask(rule, document, tenant=tenant)

    async def _call(self, rule: str, document: bytes) -> Reply:
        """Calls OPA once, within the deadline; the circuit breaker counts a call without an answer.

        Raises `NoAnswer` for such a call, and `ReplyError` for an unusable answer.
        """
        large = len(document) > LARGE_BYTES
        seconds = self._large_deadline_seconds if large else self._deadline_seconds
        try:
            async with asyncio.timeout(seconds):
                numbered = rule.startswith(f"{PACKAGE}.")
                reply = await self._client.ask(rule, document, numbered=numbered)
        except ReplyError:
            # It answers, if badly: the next question may fare better, and none waits.
            raise
        except TimeoutError as error:
            raise self._failed(f"no answer within {seconds} s") from error
        except Exception as error:  # whatever the client raises, it is no permission
            raise self._failed(f"no answer: {brief(error)}") from error
        self._breaker.after_answer()
        return reply

    def _failed(self, cause: str) -> NoAnswer:
        if self._breaker.after_failure(cause) and (self._probing is None or self._probing.done()):
            logger.warning("OPA at {} is asked no more until it answers again: {}", self._address, cause)
            self._probing = asyncio.create_task(self._wait_until_well())
        return NoAnswer(cause)

    async def _wait_until_well(self) -> None:
        """Polls OPA's health until OPA is healthy, then closes the circuit breaker."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._deadline_seconds):
                    if await self._client.check_health():
                        break
            await asyncio.sleep(PROBE_SECONDS)
        self._breaker.after_answer()
        logger.info("OPA at {} answers again", self._address)

    def _note(self, reply: Reply) -> str:
        """Stores and returns the bundle revision in OPA's answer. Raises `ReplyError` if it has none."""
        revision = reply.revision
        if not revision:
            # Nobody could say later which rules have decided; and rules that came by its API, not by a
            # bundle, may be anybody's.
            raise ReplyError("it holds no bundle with a revision")
        if revision != self._revision:
            logger.info("OPA {} at {} holds revision {}", reply.provenance.version, self._address, revision)
            self._revision = revision
        return revision


def _checked(document: bytes) -> bytes:
    """Returns `document` if it is exactly one JSON value; raises `QuestionError` if not.

    `document` is embedded in a larger one: bytes that end it early and go on could replace the whole input.
    """
    try:
        msgspec.json.decode(document, type=msgspec.Raw)
    except (ValueError, RecursionError) as error:
        raise QuestionError(f"the question is not JSON: {error}") from error
    return document


def _answer_of(reply: Reply) -> PolicyAnswer:
    if reply.result is UNSET:
        raise ReplyError("the rules give no decision: it is undefined")
    return parse_answer(bytes(reply.result))
