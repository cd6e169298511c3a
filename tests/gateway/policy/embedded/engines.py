"""Rules and engines for tests of the embedded policy engine, and the state of its processes."""

import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.core.decision import Question
from gateway.policy.embedded.engine import EmbeddedPolicyEngine
from tests.conformance.policy_engine import (
    EngineWith,
    PolicyEngineConformance,
    submission,
)

ALL_TO_THE_WORKER = 0
EMPTY_DATA: dict[str, Any] = {"tenants": {}, "residency": {}}
"""The smallest policy data that its schema accepts."""
NEVER_ENDS = """
digits := input.workflow.spec.digits
slow if {
    some a in digits
    some b in digits
    some c in digits
    [a, b, c] == [0, 0, 0]
}
decision := {"allow": true, "rules": [], "reasons": [], "obligations": {}} if {
    input.workflow.spec.slow
    not slow
}
decision := {"allow": true, "rules": ["quick"], "reasons": [], "obligations": {}} if {
    not input.workflow.spec.slow
}
"""


def write(folder: Path, rules: str, data: dict[str, Any] | None = None) -> Path:
    """Writes a bundle with `rules` as its submission rules to `folder`, and returns the folder."""
    for package in ("placement", "access"):
        (folder / f"{package}.rego").write_text(
            f"package waypost.{package}\nimport rego.v1\ndecision := 1 if false\n"
        )
    (folder / "submission.rego").write_text(f"package waypost.submission\nimport rego.v1\n{rules}\n")
    house = {} if data is None else data
    (folder / "data.json").write_bytes(msgspec.json.encode(EMPTY_DATA | {"house": house}))
    return folder


class EmbeddedEngineConformance(PolicyEngineConformance):
    """The policy engine conformance suite; documents over `inline_bytes` are decided in a process."""

    inline_bytes: int

    @pytest.fixture
    def engine_with(self, tmp_path: Path) -> EngineWith:
        @asynccontextmanager
        async def engine(
            rules: str, data: dict[str, Any] | None = None
        ) -> AsyncIterator[EmbeddedPolicyEngine]:
            async with EmbeddedPolicyEngine(
                write(tmp_path, rules, data), inline_bytes=self.inline_bytes
            ) as running:
                yield running

        return engine


def of(tenant: str, workflow: bytes) -> Question:
    question = submission(workflow)
    return msgspec.structs.replace(
        question, principal=msgspec.structs.replace(question.principal, tenant=tenant)
    )


def environment(pid: int | None) -> bytes:
    return Path(f"/proc/{pid}/environ").read_bytes()


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def alive(pid: int) -> bool:
    """Returns whether the process `pid` exists and is not a zombie."""
    return status(pid)[:1] not in ([], ["Z"])


def deciding(pid: int) -> bool:
    """Returns whether the process is running in each of five samples; an idle process sleeps."""
    seen = set()
    for _ in range(5):
        time.sleep(0.02)
        seen.update(status(pid)[:1])
    return seen == {"R"}


def status(pid: int) -> list[str]:
    """Returns the fields of a process's `stat` (proc(5)) from the state on; empty if it does not exist."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):  # gone before, or while it was read
        return []


def worker_pid(parent: int | None = None) -> int | None:
    """Returns the pid of the evaluation process of `parent` (None: this process), if one is running."""
    for folder in Path("/proc").glob("[0-9]*"):
        pid = int(folder.name)
        if alive(pid) and status(pid)[1:2] == [str(parent or os.getpid())] and b"worker_main" in command(pid):
            return pid
    return None


def command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
