"""A program: calls functions, one after the other, on behalf of a cluster.

Requests come on standard input and answers go to what was standard output, each as its length in four bytes
and JSON. The function's own standard output and error go to the log that the request names. Uses the standard
library alone.
"""

import asyncio
import importlib
import inspect
import json
import os
import resource
import sys
import traceback
from collections.abc import Callable
from typing import Any, BinaryIO

HEADER_BYTES = 4
FIRST_LETTERS = 300


class NotPermitted(Exception):
    """Raised where the request names what is no function of a permitted package."""


def read_request(requests: BinaryIO) -> dict[str, Any] | None:
    """Reads the next request; None at the end of the stream, and for what is no JSON object."""
    header = requests.read(HEADER_BYTES)
    if len(header) < HEADER_BYTES:
        return None
    found = json.loads(requests.read(int.from_bytes(header, "big")))
    return found if isinstance(found, dict) else None


def write_answer(answers: BinaryIO, answer: dict[str, Any]) -> None:
    """Writes the answer to a request, behind its length."""
    payload = json.dumps(answer).encode()
    answers.write(len(payload).to_bytes(HEADER_BYTES, "big") + payload)
    answers.flush()


def find_function(name: str, packages: list[str]) -> Callable[..., Any]:
    """Imports the function `MODULE:NAME`; raises `NotPermitted` where it belongs to no permitted package.

    A module holds more than its own functions: what it has imported, such as `os.system`, is not meant.
    """
    module_name, _, function_name = name.partition(":")
    function = getattr(importlib.import_module(module_name), function_name, None)
    if not inspect.isfunction(function):
        raise NotPermitted(f"{name} is no function")
    home = function.__module__
    if not any(home == package or home.startswith(f"{package}.") for package in packages):
        raise NotPermitted(
            f"{name} is a function of {home}, which the cluster's setting packages does not list"
        )
    return function


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Calls the function of a request; returns the text of its result as JSON, or why it failed."""
    try:
        function = find_function(request["function"], request["packages"])
        result = function(**request["arguments"])
        if inspect.iscoroutine(result):
            result = asyncio.run(result)
        return {"output": json.dumps(result, allow_nan=False)}
    except MemoryError:
        return {"failure": "MemoryError", "memory": True}
    # SystemExit and KeyboardInterrupt, too: they would end the worker without an answer.
    except BaseException as error:
        traceback.print_exc()
        return {"failure": f"{type(error).__name__}: {error}"[:FIRST_LETTERS]}


def enter(request: dict[str, Any]) -> None:
    """Prepares the process for a request: log, directory, environment, memory."""
    log = os.open(
        request["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600
    )
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    os.chdir(request["directory"])
    os.environ.clear()
    os.environ.update(request["environment"])
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (min(request["memory_bytes"], most), most))


def has_children() -> bool:
    """Returns whether the function has left child processes, dead or alive; reaps the dead."""
    try:
        while True:
            pid, _ = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return True
    except ChildProcessError:
        return False


def main() -> None:
    most = int(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Out of the way of a function that prints or reads: these descriptors are its own.
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)
    while (request := read_request(requests)) is not None:
        enter(request)
        found = answer(request)
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except (OSError, ValueError):  # a full disk, or a function that has closed it
                found.setdefault("worn", True)
        if has_children():
            found["worn"] = True
        # Its log and its workspace may be removed now.
        os.dup2(nothing, 1)
        os.dup2(nothing, 2)
        os.chdir("/")
        write_answer(answers, found)


if __name__ == "__main__":
    main()
