"""Evaluates the rules of a policy bundle for one document, as a gateway would."""

import tempfile
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

import msgspec

from gateway.cli.dev.opa_program import find_opa
from gateway.cli.documents import detect_media_type, read_bytes, read_value
from gateway.cli.errors import CliError, Exit
from gateway.cli.policy import opa_program
from gateway.core.decision import Action, Decision, Question
from gateway.core.errors import GatewayError
from gateway.core.principal import Principal
from gateway.documents.parsing import parse
from gateway.policy.answer import AnswerError, PolicyAnswer, parse_answer
from gateway.policy.bundle import OPA_ENGINE, Bundle
from gateway.policy.embedded.gate import check_rules
from gateway.policy.embedded.interpreter import EvaluationError, Interpreter, parse_modules, parse_result
from gateway.policy.enforcement import enforce
from gateway.policy.question import ENTRY_POINTS, encode_question
from gateway.policy.source import BundleError
from gateway.settings import DocumentLimits


def read_input(file: str, *, action: Action, principal: Principal) -> bytes:
    """Returns the rules' input: the document `file` if it has a `principal`, else an input made from it.

    The input that is made asks whether `principal` may do `action` with the workflow in `file`. Raises
    `CliError` if the file cannot be read, or has neither an input nor a valid workflow.
    """
    body = read_bytes(file)
    media_type = detect_media_type(body)
    value: Any = read_value(file, body, media_type)
    if isinstance(value, dict) and "principal" in value:
        return msgspec.json.encode(value)
    try:
        workflow = parse(body, media_type, DocumentLimits())
    except GatewayError as error:
        raise CliError(f"{file}: {error.detail}", code=Exit.USAGE) from error
    if workflow.metadata.tenant is None:
        metadata = msgspec.structs.replace(workflow.metadata, tenant=principal.tenant)
        workflow = msgspec.structs.replace(workflow, metadata=metadata)
    run = {"id": "0" * 28, "tenant": workflow.metadata.tenant, "subject": principal.subject}
    return encode_question(
        Question(
            action=action,
            principal=principal,
            at=time.time(),
            workflow=msgspec.json.encode(workflow),
            context={} if action is Action.RUNS_SUBMIT else {"run": run},
        )
    )


def decide(bundle: Bundle, document: bytes, *, by_opa: bool, excepted: Collection[str]) -> Decision:
    """Returns the policy decision that a gateway would make; rules in `excepted` count as overridden.

    Raises `BundleError` for rules that the engine would not take.
    """
    found = answer(bundle, document, by_opa=by_opa)
    decision = Decision(
        id="",
        at=time.time(),
        action=Action(msgspec.json.decode(document).get("action", Action.RUNS_SUBMIT)),
        allow=found.allow,
        revision=bundle.revision,
        engine="",
        rules=found.rules,
        reasons=found.reasons,
        obligations=found.obligations,
    )
    return enforce(decision, dict.fromkeys(excepted, "tried"))


def answer(bundle: Bundle, document: bytes, *, by_opa: bool) -> PolicyAnswer:
    """Evaluates the rules of `bundle` for the input `document` and returns their answer.

    Raises `CliError` for an unknown action, for rules that give no valid answer, and if an OPA is needed and
    none is found.
    """
    try:
        action = Action(msgspec.json.decode(document).get("action", Action.RUNS_SUBMIT))
    except ValueError as error:
        raise CliError(f"the input's action is none: {error}", code=Exit.USAGE) from error
    entry_point = ENTRY_POINTS[action]
    try:
        if not by_opa and bundle.engine != OPA_ENGINE:
            if found := check_rules(parse_modules(bundle.source.modules)):
                raise BundleError(found)
            return parse_result(Interpreter(bundle.source).evaluate(entry_point, document))
        if (opa := find_opa()) is None:
            raise CliError("no opa here: `make opa` gets one", code=Exit.USAGE)
        with tempfile.TemporaryDirectory() as folder:
            return parse_answer(
                opa_program.evaluate(opa, bundle, entry_point, document, folder=Path(folder)) or "null"
            )
    except (EvaluationError, AnswerError, ValueError) as error:
        raise CliError(f"no decision, so it is refused: {error}", code=Exit.UNAVAILABLE) from error
