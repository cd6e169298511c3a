"""Tests the embedded policy engine with evaluation in a process that can be killed."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from gateway.core.decision import Action
from gateway.policy.embedded.engine import EmbeddedPolicyEngine
from tests.conformance.policy_engine import (
    ALLOW,
    NAME_BACK,
    document,
    submission,
)
from tests.gateway.policy.embedded.engines import (
    ALL_TO_THE_WORKER,
    NEVER_ENDS,
    EmbeddedEngineConformance,
    alive,
    deciding,
    environment,
    of,
    until,
    worker_pid,
    write,
)


@pytest.mark.integration
class TestInTheWorker(EmbeddedEngineConformance):
    """The conformance suite with all documents evaluated in a child process."""

    inline_bytes = ALL_TO_THE_WORKER


@pytest.mark.integration
async def test_a_small_document_may_take_long(tmp_path: Path) -> None:
    """What is not done within milliseconds is evaluated in the process, and the caller is not refused."""
    rules = """
    digits := input.workflow.spec.digits
    pairs := {pair | some a in digits; some b in digits; pair = [a, b]}
    decision := {"allow": true, "rules": [], "reasons": [], "obligations": {"max_shards": count(pairs)}}
    """
    async with EmbeddedPolicyEngine(write(tmp_path, rules), budget_seconds=30.0) as engine:
        small = await engine.decide(submission(document("a", digits=list(range(10)))))
        assert worker_pid() is None
        large = await engine.decide(submission(document("a", digits=list(range(300)))))
        assert worker_pid() is not None
    assert (small.obligations.max_shards, large.obligations.max_shards) == (100, 90_000)


@pytest.mark.integration
async def test_a_decision_over_its_budget_is_killed(tmp_path: Path) -> None:
    """The evaluator has no time limit, so its process is killed. The next document gets a new one."""
    async with EmbeddedPolicyEngine(
        write(tmp_path, NEVER_ENDS), inline_bytes=ALL_TO_THE_WORKER, budget_seconds=0.3
    ) as engine:
        assert (await engine.decide(submission(document("a")))).allow is True
        first = worker_pid()
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
        until(lambda: not alive(first))
        after = await engine.decide(submission(document("a")))
        assert (after.allow, after.rules) == (True, ("quick",))
        assert worker_pid() != first


@pytest.mark.integration
async def test_a_worker_that_dies_is_replaced(tmp_path: Path) -> None:
    """The document being evaluated gets a fault; the next one is evaluated."""
    async with EmbeddedPolicyEngine(
        write(tmp_path, NEVER_ENDS), inline_bytes=ALL_TO_THE_WORKER, budget_seconds=20.0
    ) as engine:
        await engine.decide(submission(document("a")))
        worker = worker_pid()
        assert worker is not None
        dying = asyncio.create_task(
            engine.decide(submission(document("a", slow=True, digits=list(range(1, 3000)))))
        )
        await asyncio.sleep(0)
        os.kill(worker, signal.SIGKILL)
        assert (await dying).fault == "the process that decides about large documents ended"
        assert (await engine.decide(submission(document("a")))).allow is True


@pytest.mark.integration
async def test_a_caller_who_leaves_does_not_shift_the_answers(tmp_path: Path) -> None:
    """The reply to a cancelled question must not become that to the next one."""
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
    """Beyond the bound a question is refused at once; each of the others gets its own answer."""
    async with EmbeddedPolicyEngine(write(tmp_path, NAME_BACK), inline_bytes=ALL_TO_THE_WORKER) as engine:
        decisions = await asyncio.gather(
            *(engine.decide(of(f"t{index % 5}", document(f"n{index}"))) for index in range(260))
        )
    assert [decision.rules for decision in decisions[:256]] == [(f"n{index}",) for index in range(256)]
    assert {decision.fault for decision in decisions[256:]} == {
        "256 large documents are waiting for a decision already"
    }


@pytest.mark.integration
async def test_one_tenant_does_not_fill_the_line(tmp_path: Path) -> None:
    """Beyond a tenant's share its questions are refused, those of others are not."""
    async with EmbeddedPolicyEngine(write(tmp_path, NAME_BACK), inline_bytes=ALL_TO_THE_WORKER) as engine:
        many = [engine.decide(of("loud", document(f"n{index}"))) for index in range(68)]
        *loud, quiet = await asyncio.gather(*many, engine.decide(of("quiet", document("q"))))
        assert [decision.fault for decision in loud] == [""] * 64 + [
            "64 large documents of loud are waiting for a decision already"
        ] * 4
        assert quiet.rules == ("q",)
        assert (await engine.decide(of("loud", document("later")))).rules == ("later",)


@pytest.mark.integration
async def test_what_is_to_be_placed_waits_behind_no_submission(tmp_path: Path) -> None:
    """Placement of an accepted run must not wait for a submission that takes all of its budget."""
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
        print("ready", flush=True)
        if sys.argv[2] == "busy":
            await engine.decide(submission(document("a", slow=True, digits=list(range(1, 3000)))))
        await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.mark.integration
@pytest.mark.parametrize("state", ["idle", "busy"])
def test_the_worker_dies_with_its_gateway(tmp_path: Path, state: str) -> None:
    """kill -9 of the gateway leaves no process behind, not even one that is evaluating."""
    rules = write(tmp_path, NEVER_ENDS)
    with subprocess.Popen(
        [sys.executable, "-c", GATEWAY, str(rules), state], stdout=subprocess.PIPE, text=True
    ) as gateway:
        assert gateway.stdout is not None
        gateway.stdout.readline()
        worker = worker_pid(gateway.pid)
        assert worker is not None
        until(lambda: state == "idle" or deciding(worker))
        gateway.kill()
    until(lambda: not alive(worker))


@pytest.mark.integration
async def test_the_worker_inherits_no_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings of the gateway contain passwords; the process does not need them."""
    monkeypatch.setenv("WAYPOST_STORE", "postgresql://u:hunter2@db")
    async with EmbeddedPolicyEngine(write(tmp_path, ALLOW), inline_bytes=ALL_TO_THE_WORKER) as engine:
        await engine.decide(submission())
        assert b"hunter2" not in environment(worker_pid())


SLOW: dict[str, str] = {
    "loops within loops": """
    slow if {
        some a in input.workflow.spec.digits
        some b in input.workflow.spec.digits
        a + b < 0
    }
    """,
    "a function in a loop": """
    slow if {
        some a in input.workflow.spec.digits
        below(a)
    }
    below(a) if {
        some b in input.workflow.spec.digits
        a + b < 0
    }
    """,
    "every within every": """
    slow if not fast
    fast if {
        every a in input.workflow.spec.digits {
            every b in input.workflow.spec.digits { a + b >= 0 }
        }
    }
    """,
    "indices": """
    slow if {
        input.workflow.spec.digits[i] + input.workflow.spec.digits[j] < 0
        i != j
    }
    """,
    "comprehensions": """
    digits := input.workflow.spec.digits
    slow if count({a | some a in digits; count([b | some b in digits; b < 0]) > a}) > 0
    """,
    "a number of numbers": """
    slow if count([n | some n in numbers.range(1, count(input.workflow.spec.digits) * 1000); n < 0]) > 0
    """,
}  # fmt: skip
DECISION = '\ndecision := {"allow": false, "rules": ["slow"], "reasons": [], "obligations": {}} if slow'
DECISION += f"\nelse := {ALLOW.partition(' := ')[2]}\n"


@pytest.mark.integration
@pytest.mark.parametrize("rules", SLOW.values(), ids=SLOW)
async def test_what_takes_long_leaves_the_event_loop_alone(tmp_path: Path, rules: str) -> None:
    """The interpreter has no limit and holds the lock: checkpoints in its loops end it after milliseconds.

    Counted in checkpoints, not in milliseconds: how quick this machine is says nothing.
    """
    async with EmbeddedPolicyEngine(write(tmp_path, rules + DECISION), budget_seconds=30.0) as engine:
        assert (await engine.decide(submission(document("a", digits=[1])))).rules == ("r",)
        quick = worker_pid() is None
        decision = await engine.decide(submission(document("a", digits=list(range(700)))))
        assert (decision.fault, decision.rules) == ("", ("r",))
        assert worker_pid() is not None
        assert quick or "numbers.range" in rules


@pytest.mark.integration
async def test_rules_that_are_slow_by_themselves_go_to_the_process_at_once(tmp_path: Path) -> None:
    """What takes long between two checkpoints is slow whatever the document, and so is the next one."""
    rules = 'slow if { some text in data.house.texts; count(split(text, "")) < 0 }' + DECISION
    texts = {"texts": ["x" * 2_000] * 200}
    async with EmbeddedPolicyEngine(write(tmp_path, rules, texts), budget_seconds=30.0) as engine:
        for _ in range(2):
            assert (await engine.decide(submission())).rules == ("r",)
        assert worker_pid() is not None
