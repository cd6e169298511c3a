"""The conformance suite of policy engines: what each of them promises."""

import threading
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeAlias

import msgspec
import pytest
from msgspec import structs

from gateway.core.decision import Action, Obligations, Question, Reason
from gateway.core.errors import Unavailable
from gateway.core.principal import Principal
from gateway.policy.interface import PolicyEngine

EngineWith: TypeAlias = Callable[..., AbstractAsyncContextManager[PolicyEngine]]
"""The type of a fixture that builds an engine with given `submission` rules (Rego) and data.

The Rego has `decision` and what it needs.
"""

PRINCIPAL = Principal(
    subject="ada", issuer="https://issuer.test", tenant="payments", scopes=("workflows:submit",)
)
ALLOW = 'decision := {"allow": true, "rules": ["r"], "reasons": [], "obligations": {"regions": ["beijing"]}}'
NAME_BACK = """
names := {name | some task in input.workflow.spec.tasks; name = task.name}
decision := {"allow": true, "rules": names, "reasons": [], "obligations": {}}
"""

ALLOWED = 'decision := {"allow": true, "rules": [], '

NOT_DECISIONS = {
    "undefined": "decision := 1 if false",
    "an undefined part": 'decision := {"allow": data.absent, "rules": [], "reasons": [], "obligations": {}}',
    "null": "decision := null",
    "true alone": "decision := true",
    "the word for undefined": 'decision := "<undefined>"',
    "a list": "decision := [true]",
    "allow as text": 'decision := {"allow": "true", "rules": [], "reasons": [], "obligations": {}}',
    "allow as a number": 'decision := {"allow": 1, "rules": [], "reasons": [], "obligations": {}}',
    "allow as null": 'decision := {"allow": null, "rules": [], "reasons": [], "obligations": {}}',
    "no allow": 'decision := {"rules": [], "reasons": [], "obligations": {}}',
    "no obligations": 'decision := {"allow": true, "rules": [], "reasons": []}',
    "no reasons": 'decision := {"allow": true, "rules": [], "obligations": {}}',
    "a field too many": ALLOWED + '"obligations": {}, "reasons": [], "but": 1}',
    "an unknown obligation": ALLOWED + '"obligations": {"region": ["a"]}, "reasons": []}',
    "regions as one string": ALLOWED + '"obligations": {"regions": "beijing"}, "reasons": []}',
    "allowed for a reason not to": ALLOWED + '"obligations": {}, "reasons": [{"rule": "r", "message": "m"}]}',
}


def document(*names: str, **more: Any) -> bytes:
    """Returns a workflow document with a task of each name."""
    tasks = [{"name": name, "type": "process", "run": {"command": ["true"]}} for name in names]
    return msgspec.json.encode(
        {"metadata": {"name": "n", "tenant": "payments"}, "spec": {"tasks": tasks, **more}}
    )


def submission(
    workflow: bytes | None = None, *, at: float = 1_764_000_000.5, context: dict[str, Any] | None = None
) -> Question:
    return Question(
        action=Action.RUNS_SUBMIT,
        principal=PRINCIPAL,
        at=at,
        workflow=workflow or document("a"),
        context=context or {},
    )


class PolicyEngineConformance:
    """The conformance tests of a policy engine; a subclass provides the fixture `engine_with`."""

    async def test_a_complete_permission_permits(self, engine_with: EngineWith) -> None:
        """Only a complete answer with `allow: true` is a permission, and it carries its obligations."""
        async with engine_with(ALLOW) as engine:
            decision = await engine.decide(submission())
        assert decision.allow is True
        assert decision.fault == ""
        assert decision.rules == ("r",)
        assert decision.obligations == Obligations(regions=("beijing",))
        assert (decision.action, decision.at, decision.revision) == (
            Action.RUNS_SUBMIT,
            1_764_000_000.5,
            engine.revision,
        )

    async def test_a_decision_has_its_question(self, engine_with: EngineWith) -> None:
        """With it, a record or a replay needs nothing else."""
        asked = structs.replace(submission(context={"region": "beijing"}), trace_id="t1")
        async with engine_with(ALLOW) as engine:
            decision = await engine.decide(asked)
        assert decision.question == asked

    async def test_what_policy_masks_is_in_no_decision(self, engine_with: EngineWith) -> None:
        """The rules see it, and nobody after them."""
        mask = '{"mask": ["/workflow/spec/params/password", "/principal/groups"]}'
        rules = f"""
        found := {{input.workflow.spec.params.password}}
        decision := {{"allow": true, "rules": found, "reasons": [], "obligations": {mask}}}
        """
        async with engine_with(rules) as engine:
            decision = await engine.decide(submission(document("a", params={"password": "hunter2", "x": 1})))
        assert decision.rules == ("hunter2",)
        assert decision.question
        assert msgspec.json.decode(decision.question.workflow or b"")["spec"]["params"] == {"x": 1}

    async def test_a_refusal_carries_its_reasons(self, engine_with: EngineWith) -> None:
        """A refusal is an answer, not a fault, and the caller gets its reasons."""
        reason = '{"rule": "image.banned", "message": "no"}'
        refusal = '"allow": false, "rules": ["image.banned"], "obligations": {}'
        rules = f'decision := {{{refusal}, "reasons": [{reason}]}}'
        async with engine_with(rules) as engine:
            decision = await engine.decide(submission())
        assert (decision.allow, decision.fault) == (False, "")
        assert decision.reasons == (Reason(rule="image.banned", message="no"),)

    @pytest.mark.parametrize("rules", NOT_DECISIONS.values(), ids=NOT_DECISIONS)
    async def test_what_is_not_a_complete_decision_is_a_fault(
        self, engine_with: EngineWith, rules: str
    ) -> None:
        """Default deny: only `true` in a complete, well-typed answer permits, and nothing raises."""
        async with engine_with(rules) as engine:
            decision = await engine.decide(submission())
        assert decision.allow is False
        assert decision.fault != ""
        assert decision.obligations == Obligations()
        assert decision.question
        assert decision.question.workflow is None, "nobody has said what of it may be recorded"

    @pytest.mark.parametrize(
        "workflow",
        [b"", b"{", b'{"a": nope}', b"\xff\xfe", b"[" * 100_000, b'{"spec": {}} x'],
        ids=lambda text: repr(text[:10]),
    )
    async def test_a_document_that_is_not_json_is_a_fault(
        self, engine_with: EngineWith, workflow: bytes
    ) -> None:
        """No question makes `decide` raise."""
        question = Question(action=Action.RUNS_SUBMIT, principal=PRINCIPAL, at=1.0, workflow=workflow)
        async with engine_with(ALLOW) as engine:
            decision = await engine.decide(question)
        assert (decision.allow, decision.fault != "") == (False, True)

    @pytest.mark.parametrize(
        "fails",
        [
            "abs(name) > 0",
            "to_number(name) > 0",
            "json.unmarshal(name) > 0",
            "twice(name)",
        ],
    )
    async def test_a_fault_has_no_value_of_the_document(self, engine_with: EngineWith, fails: str) -> None:
        """Evaluators quote them, and a fault is logged and recorded: nobody has said what is masked."""
        asked = submission(document("canary"))
        rego = (
            "name := input.workflow.spec.tasks[0].name\n"
            "twice(x) := 1 if x\ntwice(x) := 2 if x\n"
            f'decision := {{"allow": true, "rules": [], "reasons": [], "obligations": {{}}}} if {fails}'
        )
        async with engine_with(rego) as engine:
            decision = await engine.decide(asked)
        assert (decision.allow, "canary" in decision.fault) == (False, False)
        assert decision.fault

    async def test_a_context_that_is_not_json_is_a_fault(self, engine_with: EngineWith) -> None:
        """The same holds for the context, which the gateway adds."""
        async with engine_with(ALLOW) as engine:
            decision = await engine.decide(submission(context={"thread": threading.Lock()}))
        assert (decision.allow, decision.fault != "") == (False, True)

    async def test_a_document_cannot_speak_for_its_sender(self, engine_with: EngineWith) -> None:
        """Bytes that end the document early and go on with another principal do not replace the principal."""
        who = (
            'decision := {"allow": true, "rules": [input.principal.tenant], "reasons": [], "obligations": {}}'
        )
        forged = b'{}, "principal": {"tenant": "research"}, "action": "runs:place", "x": {}'
        async with engine_with(who) as engine:
            decision = await engine.decide(submission(forged))
        assert decision.rules in (("payments",), ())

    @pytest.mark.parametrize(
        "name",
        ['"}]}}, {"', "\\", "\x00", "tab\t", "é", "雪", "\U0001f409", "${params.x}", "<undefined>x", "'; --"],
    )
    async def test_a_hostile_name_is_a_name(self, engine_with: EngineWith, name: str) -> None:
        """Any text passes through the engine unchanged."""
        async with engine_with(NAME_BACK) as engine:
            decision = await engine.decide(submission(document(name)))
        assert decision.rules == (name,)

    async def test_the_deepest_permitted_document_is_decided(self, engine_with: EngineWith) -> None:
        """Documents nest 64 levels at most; the question adds two."""
        deep: Any = 1
        for _ in range(58):
            deep = [deep]
        async with engine_with(NAME_BACK) as engine:
            decision = await engine.decide(submission(document("a", params={"deep": deep})))
        assert decision.allow is True

    async def test_a_large_document_has_the_answer_of_a_small_one(self, engine_with: EngineWith) -> None:
        """The size of a document does not change the answer."""
        names = tuple(f"task-{index:04}" for index in range(3_000))
        async with engine_with(NAME_BACK) as engine:
            decision = await engine.decide(submission(document(*names)))
        assert (decision.fault, decision.rules) == ("", names)

    async def test_the_revision_names_rules_and_data(self, engine_with: EngineWith) -> None:
        """The same text and data have the same revision on every machine.

        A change of either gives another revision.
        """
        async with (
            engine_with(ALLOW) as one,
            engine_with(ALLOW) as same,
            engine_with(NAME_BACK) as other_rules,
        ):
            assert one.revision == same.revision
            assert one.revision != other_rules.revision
        async with engine_with(ALLOW, {"x": 1}) as other_data:
            assert one.revision != other_data.revision

    async def test_it_says_whether_it_would_answer(self, engine_with: EngineWith) -> None:
        """`/readyz` asks: a gateway whose policy cannot answer accepts nothing."""
        async with engine_with(ALLOW) as engine:
            await engine.check()
        with pytest.raises(Unavailable):
            await engine.check()

    async def test_ids_are_unique_and_sort_by_time(self, engine_with: EngineWith) -> None:
        """A log of decisions reads in order, also within one millisecond."""
        async with engine_with(ALLOW) as engine:
            ids = [(await engine.decide(submission(at=1_764_000_000.0 + step // 5))).id for step in range(20)]
        assert len(set(ids)) == 20
        assert ids == sorted(ids)

    async def test_one_decision_leaves_nothing_behind_for_the_next(self, engine_with: EngineWith) -> None:
        """Decisions are independent, also after a fault."""
        async with engine_with(NAME_BACK) as engine:
            first = await engine.decide(submission(document("a")))
            await engine.decide(
                Question(action=Action.RUNS_SUBMIT, principal=PRINCIPAL, at=1.0, workflow=b"{")
            )
            last = await engine.decide(submission(document("b")))
        assert (first.rules, last.rules) == (("a",), ("b",))
