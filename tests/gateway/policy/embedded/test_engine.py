"""The embedded engine."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.core.decision import Action, Decision, Question
from gateway.policy.bundle import BundleError
from gateway.policy.embedded.engine import EmbeddedPolicyEngine
from tests.conformance.policy_engine import (
    ALLOW,
    NAME_BACK,
    EngineWith,
    PolicyEngineConformance,
    document,
    submission,
)

ALL_TO_THE_WORKER = 0
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
decision := {"allow": true, "rules": ["quick"], "reasons": [], "obligations": {}} if not input.workflow.spec.slow
"""


def write(folder: Path, rules: str, data: dict[str, Any] | None = None) -> Path:
    """A folder of rules whose submission rules are `rules`."""
    for package in ("placement", "access"):
        (folder / f"{package}.rego").write_text(
            f"package waypost.{package}\nimport rego.v1\ndecision := 1 if false\n"
        )
    (folder / "submission.rego").write_text(f"package waypost.submission\nimport rego.v1\n{rules}\n")
    (folder / "data").mkdir(exist_ok=True)
    (folder / "data" / "waypost.json").write_bytes(msgspec.json.encode(data or {}))
    (folder / "schemas").mkdir(exist_ok=True)
    lists = {"tasks": {"type": "array"}, "digits": {"type": "array"}}
    spec = {"properties": {"workflow": {"properties": {"spec": {"properties": lists}}}}}
    for name, schema in (("input", spec), ("data", {})):
        (folder / "schemas" / f"{name}.json").write_bytes(msgspec.json.encode(schema))
    return folder


class TestInline(PolicyEngineConformance):
    """Everything but the large document is decided on this thread."""

    inline_bytes = 65_536

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


@pytest.mark.integration
class TestInTheWorker(TestInline):
    """Everything is decided in a process of its own, and answers the same."""

    inline_bytes = ALL_TO_THE_WORKER


async def test_another_thread_gets_a_fault(tmp_path: Path) -> None:
    """The evaluator panics on any thread but its own, and a panic is no `Exception`: it must not get that far."""
    async with EmbeddedPolicyEngine(write(tmp_path, ALLOW)) as engine:
        decisions: list[Decision] = []
        thread = threading.Thread(target=lambda: decisions.append(asyncio.run(engine.decide(submission()))))
        thread.start()
        thread.join()
        assert (decisions[0].allow, decisions[0].fault) == (
            False,
            "asked on another thread than the one the engine lives on",
        )
        assert (await engine.decide(submission())).allow is True


async def test_an_engine_that_does_not_run_refuses(tmp_path: Path) -> None:
    """Before it is entered and after it is left there are no rules."""
    engine = EmbeddedPolicyEngine(write(tmp_path, ALLOW))
    assert (await engine.decide(submission())).fault == "the engine is not running"
    async with engine:
        assert (await engine.decide(submission())).allow is True
    assert (await engine.decide(submission())).fault == "the engine is not running"


async def test_reasons_are_bounded(tmp_path: Path) -> None:
    """A decision is stored with its run: ten thousand banned images make a hundred sentences and a number."""
    rules = """
    reasons contains {"rule": "r", "message": name} if { some task in input.workflow.spec.tasks; name = task.name }
    decision := {"allow": false, "rules": ["r"], "reasons": reasons, "obligations": {}}
    """
    async with EmbeddedPolicyEngine(write(tmp_path, rules), inline_bytes=10_000_000) as engine:
        decision = await engine.decide(
            submission(document(*(f"{index}{'x' * 1_000}" for index in range(150))))
        )
    assert len(decision.reasons) == 101
    assert decision.reasons[-1].message == "and 50 more reasons"
    assert max(len(reason.message) for reason in decision.reasons) == 500


async def test_the_rules_that_ship_permit_the_example() -> None:
    """The default policies and data let the demonstration's tenant in."""
    async with EmbeddedPolicyEngine() as engine:
        decision = await engine.decide(submission(document("scan", dataClass="internal")))
    assert decision.allow is True
    assert decision.obligations.regions == ("beijing", "shanghai", "shenzhen")


@pytest.mark.integration
async def test_a_small_document_may_need_much_thought(tmp_path: Path) -> None:
    """The quick evaluator stops after 25,000 instructions, whatever the bytes: then the other one is asked, not the caller refused."""
    rules = """
    pairs := {pair | some a in input.workflow.spec.digits; some b in input.workflow.spec.digits; pair = [a, b]}
    decision := {"allow": true, "rules": [], "reasons": [], "obligations": {"max_shards": count(pairs)}}
    """
    async with EmbeddedPolicyEngine(write(tmp_path, rules)) as engine:
        small = await engine.decide(submission(document("a", digits=list(range(10)))))
        assert engine.worker_pid is None
        large = await engine.decide(submission(document("a", digits=list(range(100)))))
        assert engine.worker_pid is not None
    assert (small.obligations.max_shards, large.obligations.max_shards) == (100, 10_000)


@pytest.mark.integration
async def test_a_decision_over_its_budget_is_killed(tmp_path: Path) -> None:
    """Evaluation knows no time limit: the process does. The next document has a new one."""
    async with EmbeddedPolicyEngine(
        write(tmp_path, NEVER_ENDS), inline_bytes=ALL_TO_THE_WORKER, budget_seconds=0.3
    ) as engine:
        assert (await engine.decide(submission(document("a")))).allow is True
        first = engine.worker_pid
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                await asyncio.sleep(0.01)
                ticks += 1

        ticking = asyncio.create_task(tick())
        killed = await engine.decide(submission(document("a", slow=True, digits=list(range(1, 3000)))))
        ticking.cancel()
        assert (killed.allow, killed.fault) == (False, "no decision within 0.3 s")
        assert ticks >= 10, "the event loop stood still meanwhile"
        assert first is not None
        assert not alive(first)
        after = await engine.decide(submission(document("a")))
        assert (after.allow, after.rules) == (True, ("quick",))
        assert engine.worker_pid != first


@pytest.mark.integration
async def test_a_worker_that_dies_is_replaced(tmp_path: Path) -> None:
    """What it was deciding is a fault; what comes after is decided."""
    async with EmbeddedPolicyEngine(
        write(tmp_path, NEVER_ENDS), inline_bytes=ALL_TO_THE_WORKER, budget_seconds=20.0
    ) as engine:
        await engine.decide(submission(document("a")))
        assert engine.worker_pid is not None
        dying = asyncio.create_task(
            engine.decide(submission(document("a", slow=True, digits=list(range(1, 3000)))))
        )
        await asyncio.sleep(0)
        os.kill(engine.worker_pid, signal.SIGKILL)
        assert (await dying).fault == "the process that decides about large documents ended"
        assert (await engine.decide(submission(document("a")))).allow is True


@pytest.mark.integration
async def test_a_caller_who_leaves_does_not_shift_the_answers(tmp_path: Path) -> None:
    """The answer to an abandoned question must not become the answer to the next one."""
    async with EmbeddedPolicyEngine(write(tmp_path, NAME_BACK), inline_bytes=ALL_TO_THE_WORKER) as engine:
        await engine.decide(submission(document("warm")))
        leaving = asyncio.create_task(engine.decide(submission(document("left"))))
        await asyncio.sleep(0)
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        assert (await engine.decide(submission(document("stayed")))).rules == ("stayed",)


@pytest.mark.integration
async def test_large_documents_wait_in_a_bounded_line(tmp_path: Path) -> None:
    """Beyond the bound a question is refused at once instead of waiting without end; all others are answered, each its own."""
    async with EmbeddedPolicyEngine(write(tmp_path, NAME_BACK), inline_bytes=ALL_TO_THE_WORKER) as engine:
        decisions = await asyncio.gather(
            *(engine.decide(of(f"t{index % 5}", document(f"n{index}"))) for index in range(40))
        )
    assert [decision.rules for decision in decisions[:32]] == [(f"n{index}",) for index in range(32)]
    assert {decision.fault for decision in decisions[32:]} == {
        "32 large documents are waiting for a decision already"
    }


@pytest.mark.integration
async def test_one_tenant_does_not_fill_the_line(tmp_path: Path) -> None:
    """Beyond its share it is refused, and the others are not."""
    async with EmbeddedPolicyEngine(write(tmp_path, NAME_BACK), inline_bytes=ALL_TO_THE_WORKER) as engine:
        many = [engine.decide(of("loud", document(f"n{index}"))) for index in range(12)]
        *loud, quiet = await asyncio.gather(*many, engine.decide(of("quiet", document("q"))))
        assert [decision.fault for decision in loud] == [""] * 8 + [
            "8 large documents of loud are waiting for a decision already"
        ] * 4
        assert quiet.rules == ("q",)
        assert (await engine.decide(of("loud", document("later")))).rules == ("later",)


@pytest.mark.integration
async def test_what_is_to_be_placed_waits_behind_no_submission(tmp_path: Path) -> None:
    """It was accepted long ago; a submission that takes all of its budget must not hold its region back."""
    rules = write(tmp_path, NEVER_ENDS)
    (rules / "placement.rego").write_text(f"package waypost.placement\nimport rego.v1\n{ALLOW}\n")
    async with EmbeddedPolicyEngine(rules, inline_bytes=ALL_TO_THE_WORKER, budget_seconds=20.0) as engine:
        submitting = asyncio.create_task(
            engine.decide(submission(document("a", slow=True, digits=list(range(1, 3000)))))
        )
        placed = await engine.decide(msgspec.structs.replace(submission(), action=Action.RUNS_PLACE))
        assert (placed.allow, submitting.done()) == (True, False)
        submitting.cancel()
        await asyncio.gather(submitting, return_exceptions=True)


GATEWAY = """
import asyncio, sys
from pathlib import Path
from gateway.policy.embedded.engine import EmbeddedPolicyEngine
from tests.conformance.policy_engine import document, submission

async def main():
    async with EmbeddedPolicyEngine(Path(sys.argv[1]), inline_bytes=0, budget_seconds=1.0) as engine:
        await engine.decide(submission(document("a")))
        print(engine.worker_pid, flush=True)
        if sys.argv[2] == "busy":
            await engine.decide(submission(document("a", slow=True, digits=list(range(1, 3000)))))
        await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.mark.integration
@pytest.mark.parametrize("state", ["idle", "busy"])
def test_the_worker_dies_with_its_gateway(tmp_path: Path, state: str) -> None:
    """kill -9 leaves nothing behind, not even one that is deciding and looks at nothing else."""
    rules = write(tmp_path, NEVER_ENDS)
    with subprocess.Popen(
        [sys.executable, "-c", GATEWAY, str(rules), state], stdout=subprocess.PIPE, text=True
    ) as gateway:
        assert gateway.stdout is not None
        worker = int(gateway.stdout.readline())
        until(lambda: state == "idle" or deciding(worker))
        gateway.kill()
    until(lambda: not alive(worker))


@pytest.mark.integration
async def test_the_worker_inherits_no_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings of the gateway hold passwords: the process that reads strangers' documents has no use for them."""
    monkeypatch.setenv("WAYPOST_STORE", "postgresql://u:hunter2@db")
    async with EmbeddedPolicyEngine(write(tmp_path, ALLOW), inline_bytes=ALL_TO_THE_WORKER) as engine:
        await engine.decide(submission())
        assert b"hunter2" not in environment(engine.worker_pid)


async def test_rules_that_fail_the_gate_stop_the_start(tmp_path: Path) -> None:
    """Better no gateway than one that permits by accident; whoever wrote the rule is told where."""
    engine = EmbeddedPolicyEngine(write(tmp_path, ALLOW + ' if {\n  not http.send({"url": "http://x"})\n}'))
    with pytest.raises(BundleError, match=r"^submission\.rego:4: http\.send is not among"):
        await engine.__aenter__()


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
    """Is there such a process, and is it more than a zombie?"""
    return status(pid)[:1] not in ([], ["Z"])


def deciding(pid: int) -> bool:
    """Is it at work each time of several? One that has nothing to do sleeps."""
    seen = set()
    for _ in range(5):
        time.sleep(0.02)
        seen.update(status(pid)[:1])
    return seen == {"R"}


def status(pid: int) -> list[str]:
    """State, then the other fields of proc(5)'s `stat`; none: there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return []
