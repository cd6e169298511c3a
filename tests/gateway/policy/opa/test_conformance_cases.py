"""Runs OPA's own conformance cases on a real OPA, queried as the gateway does.

One OPA is given the modules and data of one case after the other, by its API.
"""

import shutil
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import msgspec
import pytest

from gateway.cli.dev.opa_process import OpaProcess
from gateway.cli.errors import CliError
from gateway.policy.opa.address import parse_address
from gateway.policy.opa.client import StrictOpaClient
from gateway.policy.opa.reply import Reply, ReplyError
from tests.gateway.policy.embedded.opa_cases import ASKED, OpaCase, needs_shared, opa_cases, unordered
from tests.opa_fixture import OPA, needs_opa

EVERY = 40
"""The sampling of the cases without `--all-cases`: one in so many."""
RIGHT = 1_967
"""The number of 1,986 cases answered as the suite says: its value, undefined, or an error."""
FAILED = {
    *("functionerrors/undefined builtin result", "jsonpatch/json_patch_tests", "uuid-parse/negative"),
    *("jsonpatch/set-failure add-to-bad-path", "jsonpatch/set-failure add-with-mismatched-key-value"),
    *("regexmatch/regex.match bad RE", "regex.replace: bad regex pattern: Syntax error"),
    *("strings/any_prefix_match/type_error_nostrict", "strings/any_suffix_match/type_error_nostrict"),
    *("subset/array and set 1", "subset/array and set 2"),
    "baseandvirtualdocs/base/virtual: conflicts",  # OPA does not start with data where rules are
    "time/time caching",  # test.sleep is for the suite alone
}
"""The cases that fail, which refuses; the suite wants no value in most: it was made without strict mode."""
WRONG = {
    "reachable_paths/cycle_1022_3",  # the order of what is wanted
    "withkeyword/builtin-builtin: arity 0",  # the suite's `opa.runtime()` is empty
}


class EmptyOpa(OpaProcess):
    """An OPA process without a bundle, which gets its rules over its API."""

    def command(self) -> list[str]:
        words = super().command()
        at = words.index("--bundle")
        return words[:at] + words[at + 2 :]


class CannotBeGiven(Exception):
    """Raised where OPA's API, which takes modules one by one, refuses a module."""


class Ledger:
    """Evaluates conformance cases on one OPA, which holds the rules and data of one case at a time."""

    def __init__(self, folder: Path, api: httpx.AsyncClient, client: StrictOpaClient) -> None:
        self._folder, self._api, self._client = folder, api, client
        self._loaded: list[str] = []

    async def judged(self, case: OpaCase) -> str:
        """Returns how OPA answers a case: right, wrong, or failed."""
        try:
            try:
                await self._give(case)
                reply = await self._client.ask(ASKED, document_of(case))
            except CannotBeGiven:
                reply = await self._asked_alone(case)
        except (ReplyError, CliError):
            return "right" if case.fails else "failed"
        found = [] if isinstance(reply.result, msgspec.UnsetType) else [msgspec.json.decode(reply.result)]
        wanted = [unordered(value) for value in case.wanted]
        return "right" if not case.fails and [unordered(value) for value in found] == wanted else "wrong"

    async def _give(self, case: OpaCase) -> None:
        """Replaces the last case in OPA by this one. Raises `CannotBeGiven`."""
        for name in reversed(self._loaded):
            (await self._api.delete(f"/v1/policies/{name}")).raise_for_status()
        self._loaded.clear()
        (await self._api.put("/v1/data", content=msgspec.json.encode(case.data))).raise_for_status()
        for name, text in modules_of(case):
            answer = await self._api.put(f"/v1/policies/{name}", content=text)
            if not answer.is_success:
                raise CannotBeGiven(answer.text)
            self._loaded.append(name)

    async def _asked_alone(self, case: OpaCase) -> Reply:
        """Evaluates a case on an OPA of its own. Raises `CliError` where that does not start."""
        assert OPA is not None
        folder = self._folder / "alone"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for name, text in modules_of(case):
            (folder / name).write_text(text)
        (folder / "data.json").write_bytes(msgspec.json.encode(case.data))
        opa = OpaProcess(OPA, folder, self._folder / "alone.sock", log=self._folder / "opa.log")
        async with opa, StrictOpaClient(parse_address(opa.engine)) as client:
            return await client.ask(ASKED, document_of(case))


def is_json(document: bytes) -> bool:
    try:
        msgspec.json.decode(document)
    except msgspec.DecodeError:
        return False
    return True


def modules_of(case: OpaCase) -> tuple[tuple[str, str], ...]:
    """Returns the modules of a case; an input that is no JSON (a set) is put into the last one."""
    if is_json(case.document):
        return case.modules
    *others, (name, text) = case.modules
    head, _, asked = text.rstrip().partition(" := ")
    return (*others, (name, f"{head} := x if x := {asked} with input as {case.document.decode()}\n"))


def document_of(case: OpaCase) -> bytes:
    return case.document if is_json(case.document) else b"{}"


@asynccontextmanager
async def ledger_in(folder: Path) -> AsyncIterator[Ledger]:
    """Starts an OPA on a socket in `folder`, and yields its `Ledger`."""
    assert OPA is not None
    socket = folder / "opa.sock"
    transport = httpx.AsyncHTTPTransport(uds=str(socket))
    async with (
        EmptyOpa(OPA, folder, socket, log=folder / "opa.log") as opa,
        httpx.AsyncClient(transport=transport, base_url="http://opa", timeout=30) as api,
        StrictOpaClient(parse_address(opa.engine)) as client,
    ):
        yield Ledger(folder, api, client)


@needs_opa
@needs_shared
async def test_opa_in_strict_mode_answers_its_own_cases(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """An error that comes out undefined counts as wrong: so it would without strict mode."""
    every = 1 if request.config.getoption("--all-cases") else EVERY
    async with ledger_in(tmp_path) as ledger:
        found = [(await ledger.judged(case), case.note) for case in list(opa_cases())[::every]]
    counts = Counter(verdict for verdict, _ in found)
    assert {note for verdict, note in found if verdict == "wrong"} <= WRONG
    assert {note for verdict, note in found if verdict == "failed"} <= FAILED
    assert counts["right"] >= RIGHT or every > 1, counts
