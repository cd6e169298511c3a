"""Evaluates the rule in `policies/services` for requests to services: embedded, or by an `opa`."""

import json
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec

from gateway.cli.dev.opa_program import find_opa
from gateway.cli.errors import CliError, Exit
from gateway.cli.policy import opa_program
from gateway.mesh.reading import ServiceCatalog
from gateway.mesh.request import SERVICES_RULE, Request
from gateway.policy.answer import AnswerError, PolicyAnswer, parse_answer
from gateway.policy.bundle import SHIPPED_POLICIES, Bundle
from gateway.policy.embedded.interpreter import EvaluationError, Interpreter, parse_result
from gateway.policy.source import PolicySource

RULES: Final = "services/services.rego"


def services_source(catalog: ServiceCatalog) -> PolicySource:
    """Returns the rule that ships, with the services of `catalog` as its data."""
    return PolicySource(
        modules=((RULES, (SHIPPED_POLICIES / RULES).read_text()),),
        data=json.dumps({"services": catalog.data}),
        entry_points=(SERVICES_RULE,),
    )


def decide(source: PolicySource, requests: Iterable[Request]) -> list[PolicyAnswer]:
    """Decides `requests` in the embedded engine. Raises `CliError` where the rule gives no decision."""
    interpreter = Interpreter(source)
    try:
        return [
            parse_result(interpreter.evaluate(SERVICES_RULE, msgspec.json.encode(request)))
            for request in requests
        ]
    except (EvaluationError, AnswerError) as error:
        raise CliError(f"no decision, so it is refused: {error}", code=Exit.UNAVAILABLE) from error


def decide_by_opa(source: PolicySource, request: Request) -> PolicyAnswer:
    """Decides `request` by an `opa`, in strict mode. Raises `CliError` where there is none or no decision."""
    if (opa := find_opa()) is None:
        raise CliError("no opa here: `make opa` gets one", code=Exit.USAGE)
    bundle = Bundle(source=source, tests=(), schemas={}, revision="")
    try:
        with tempfile.TemporaryDirectory() as folder:
            document = msgspec.json.encode(request)
            found = opa_program.evaluate(opa, bundle, SERVICES_RULE, document, folder=Path(folder))
            return parse_answer(found or "null")
    except (AnswerError, ValueError) as error:
        raise CliError(f"no decision, so it is refused: {error}", code=Exit.UNAVAILABLE) from error
