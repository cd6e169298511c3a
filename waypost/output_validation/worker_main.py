"""The main program of a child process that checks outputs of tasks against JSON Schemas."""

import signal
from functools import lru_cache
from typing import Any, Final

import msgspec
from jsonschema import Draft202012Validator
from jsonschema.protocols import Validator
from referencing import Registry

from waypost.json_pointer import below
from waypost.output_validation.messages import CheckReply, CheckRequest
from waypost.worker_process import Answer, Progress, serve

CACHED: Final = 256
"""The number of schemas that a process keeps prepared."""
REASON_CHARACTERS: Final = 300
NICENESS: Final = 10
"""The niceness of the process (nice(2)): a check may take long, and must not slow other work."""


def prepare(_: bytes) -> Answer:
    """Returns `check`, the function that answers requests; the first message (greeting) is ignored."""
    return check


def check(payload: bytes, _: Progress) -> bytes:
    """Checks one output; returns where and why it does not fit.

    A check that takes more than its budget ends the process: a pattern is matched while the interpreter lock
    is held, so only the kernel can stop it. Processor time is counted: a busy machine makes none fail.
    """
    request = msgspec.msgpack.decode(payload, type=CheckRequest)
    output = msgspec.msgpack.decode(request.output)
    signal.setitimer(signal.ITIMER_PROF, request.budget_seconds)
    reply = _check(request.schema, output)
    signal.setitimer(signal.ITIMER_PROF, 0)
    return msgspec.msgpack.encode(reply)


def _check(schema: bytes, output: Any) -> CheckReply:
    try:
        error = next(iter(_validator(schema).iter_errors(output)), None)
    except RecursionError:
        return CheckReply(reason="its schema refers to itself without end")
    # A schema that was not checked by a gateway may be anything.
    except Exception as failure:
        return CheckReply(reason=f"its schema cannot be applied: {failure!r}"[:REASON_CHARACTERS])
    if error is None:
        return CheckReply()
    return CheckReply(pointer=below("", *error.absolute_path), reason=error.message[:REASON_CHARACTERS])


@lru_cache(CACHED)
def _validator(schema: bytes) -> Validator:
    # With a registry of its own: by default jsonschema 4.26 fetches what a reference names.
    return Draft202012Validator(msgspec.json.decode(schema), registry=Registry())


if __name__ == "__main__":
    serve(prepare, niceness=NICENESS)
