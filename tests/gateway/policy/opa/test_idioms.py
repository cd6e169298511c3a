"""Tests that common Rego idioms work on a real OPA, queried as a gateway does."""

from pathlib import Path

import msgspec

from gateway.core.decision import Question
from gateway.policy.embedded.interpreter import Interpreter
from gateway.policy.opa.address import parse_address
from gateway.policy.opa.engine import OpaPolicyEngine
from gateway.policy.question import encode_question
from gateway.policy.source import PolicySource
from tests.conformance.policy_engine import submission
from tests.gateway.policy.embedded.opa_cases import IDIOMS, needs_shared, unordered
from tests.opa_fixture import bundle_of, needs_opa, opa_with

DECISION = """
found := data.idiom[input.workflow.metadata.name]
decision := {"allow": true, "rules": [], "reasons": [], "obligations": {"warnings": [json.marshal(found)]}}
"""
NOT_EMBEDDED = {"idiom09", "idiom10"}
"""The idioms that the embedded engine refuses for a builtin."""


def asked(name: str) -> Question:
    task = {"name": "a", "type": "docker", "run": {"image": "python:3"}, "needs": []}
    shards = {"items": [1, 2], "count": 30}
    spec = {"tasks": [task], "priority": 9, "shards": shards, "params": {"password": "x"}}
    return submission(msgspec.json.encode({"metadata": {"name": name, "labels": {}}, "spec": spec}))


@needs_opa
@needs_shared
async def test_every_idiom_decides_on_opa(tmp_path: Path) -> None:
    """With what the embedded engine finds too, where it takes the idiom."""
    idioms = {f"idiom{path.name[:2]}": path.read_text() for path in sorted(IDIOMS.glob("*.rego"))}
    modules = tuple(
        (f"{name}.rego", text.replace("package idiom", f"package idiom.{name}", 1))
        for name, text in idioms.items()
    )
    bundle = bundle_of(DECISION)
    source = msgspec.structs.replace(bundle.source, modules=(*bundle.source.modules, *modules))
    async with (
        opa_with(tmp_path, msgspec.structs.replace(bundle, source=source)) as opa,
        OpaPolicyEngine(parse_address(opa.engine), deadline_seconds=30) as engine,
    ):
        decisions = {name: await engine.decide(asked(name)) for name in idioms}
    assert {name: one.fault for name, one in decisions.items() if one.fault} == {}
    assert len(decisions) >= 13
    taken = tuple(module for module in source.modules if module[0][:8] not in NOT_EMBEDDED)
    embedded = Interpreter(PolicySource(modules=taken, data="{}", entry_points=()))
    for name in decisions.keys() - NOT_EMBEDDED:
        (theirs,) = decisions[name].obligations.warnings
        own = embedded.evaluate("data.waypost.submission.found", encode_question(asked(name)))
        assert unordered(msgspec.json.decode(own)) == unordered(msgspec.json.decode(theirs)), name
