"""Checks a cluster's answers and events; raises `ClusterError` for wrong or inconsistent ones.

`checked_cluster.py` calls these checks for every kind of cluster. The bounds of single fields are in
`protocol_bounds.py`. What only the gateway can know (whether a run has the task that is named) is checked by
the reconciler.
"""

import re
from typing import Final, TypeVar

import msgspec
from msgspec import structs
from msgspec.json import Decoder

from clusters.errors import ClusterError
from clusters.protocol import (
    OUTPUT_BYTES,
    AttemptEnded,
    Batch,
    BatchAnswers,
    Beat,
    ClusterEvent,
    ClusterStatus,
    CreateAnswer,
    CreateOutcome,
    Hello,
    LeaseAsked,
    TaskChanged,
)
from waypost.workflow.ijson_limits import NESTING, value_fault
from waypost.workflow.task_phase import TaskPhase

Said = TypeVar("Said", TaskChanged, AttemptEnded)
T = TypeVar("T")

REASON_CHARACTERS: Final = 4_096
"""The most characters of a reason or detail.

A longer text is cut, not refused: a task's own output may be in it.
"""
UNUSUAL: Final = re.compile(rb"[0-9]{16}|\\u0000")
"""Matches the JSON of an output that may break the limits of I-JSON (a large integer, a NUL)."""


class StreamChecks:
    """Checks the events of one event stream from a cluster, in the order in which they arrive.

    The stream was asked to begin after the event with the sequence number (seq) `cursor`, of the journal
    whose id is `incarnation`.
    """

    def __init__(self, region: str, *, cursor: int, incarnation: str) -> None:
        self._region = region
        self._cursor, self._incarnation = cursor, incarnation
        self._greeted = False
        self._last = self._seen = 0

    def checked(self, event: ClusterEvent) -> ClusterEvent:
        """Checks the stream's next event and returns the event, with an overlong `reason` text shortened.

        Raises `ClusterError` (`BadAnswer`) for a missing or second `Hello`, a status of another region or
        behind the events before it, a sequence number that does not grow, and a task event with a retry time
        that contradicts its phase, or with an output too large or outside the limits of I-JSON.
        """
        if isinstance(event, Hello) is self._greeted:
            raise _bad("a hello comes first in a stream, and only there")
        match event:
            case Hello(status=status):
                check_status(status, self._region)
                self._greeted = True
                # Another journal counts its events from 1 again.
                self._last = self._cursor if status.incarnation == self._incarnation else 0
            case Beat(status=status):
                check_status(status, self._region)
                # A journal that knows less than it has sent was replaced under the stream.
                if status.seq < self._seen:
                    raise _bad(f"event {self._seen} came, and {status.seq} is said to be the newest")
            case TaskChanged():
                self._check_order(event.seq)
                _check_task(event)
                return _with_short_reason(event)
            case AttemptEnded():
                self._check_order(event.seq)
                return _with_short_reason(event)
            # Not journalled, so it has no place in the order.
            case LeaseAsked():
                pass
        return event

    def _check_order(self, seq: int) -> None:
        if seq <= self._last:
            raise _bad(f"event {seq} came after event {self._last}")
        self._last = self._seen = seq


def within_bounds(said: object, decoder: Decoder[T]) -> T:
    """Encodes `said`, which an adapter has returned, as JSON and decodes it: so types and bounds are checked.

    No type checks the fields of an answer that an adapter has put together from what an engine reports.
    Raises `ClusterError` (`BadAnswer`) for a wrong type, a value out of bounds and what JSON cannot hold.
    """
    try:
        return decoder.decode(msgspec.json.encode(said))
    except (msgspec.MsgspecError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise _bad(str(error)) from error


def check_status(status: ClusterStatus, region: str) -> None:
    """Raises `ClusterError` (`BadAnswer`) if a cluster's status names another region than the one called."""
    if status.region != region:
        raise _bad(f"the cluster of {region} says that it is that of {status.region}")


def checked_answers(answers: BatchAnswers, batch: Batch, region: str) -> BatchAnswers:
    """Checks a cluster's answers to the requests in `batch`; returns the answers, overlong details shortened.

    Raises `ClusterError` (`BadAnswer`) where they do not name the attempts of the batch in its order, or come
    from another region than `region`.
    """
    check_status(answers.status, region)
    if [one.attempt for one in answers.creates] != [one.attempt for one in batch.creates]:
        raise _bad("the answers are not those to the creates of the batch")
    if [one.attempt for one in answers.tombstones] != list(batch.tombstones):
        raise _bad("the answers are not those to the tombstones of the batch")
    # The gateway's own word for an answer that did not come.
    if any(one.outcome is CreateOutcome.UNKNOWN for one in answers.creates):
        raise _bad("no cluster answers a create with Unknown")
    # Nearly all answers are short: they are not copied.
    if not any(len(one.detail) > REASON_CHARACTERS for one in answers.creates):
        return answers
    return structs.replace(answers, creates=tuple(_with_short_detail(one) for one in answers.creates))


def _check_task(event: TaskChanged) -> None:
    # A retry has a time, and no other phase has one.
    if (event.phase is TaskPhase.RETRYING) != (event.next_try_at is not None):
        raise _bad(
            f"task {event.task} is {event.phase}: its next try is said to begin at {event.next_try_at}"
        )
    if event.output is None:
        return
    try:
        written = msgspec.json.encode(event.output)
    except (RecursionError, ValueError) as error:
        raise _bad(f"the output of task {event.task} {error}") from error
    if len(written) > OUTPUT_BYTES:
        raise _bad(f"the output of task {event.task} has {len(written)} bytes: {OUTPUT_BYTES} at most")
    # Most outputs cannot break a limit, which is seen at once: going through all of their values is slow.
    if written.count(b"[") + written.count(b"{") <= NESTING and not UNUSUAL.search(written):
        return
    if (fault := value_fault(event.output)) is not None:
        raise _bad(f"the output of task {event.task} {fault}")


def _with_short_reason(event: Said) -> Said:
    if len(event.reason) <= REASON_CHARACTERS:
        return event
    return structs.replace(event, reason=_short(event.reason))


def _with_short_detail(answer: CreateAnswer) -> CreateAnswer:
    return structs.replace(answer, detail=_short(answer.detail))


def _short(text: str) -> str:
    return text if len(text) <= REASON_CHARACTERS else f"{text[: REASON_CHARACTERS - 3]}..."


def _bad(detail: str) -> ClusterError:
    return ClusterError("BadAnswer", detail)
