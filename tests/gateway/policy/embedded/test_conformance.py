"""The embedded engine on OPA's own conformance cases: a ledger that may only improve."""

from collections import Counter

import msgspec

from gateway.policy.bundle import BundleError
from gateway.policy.embedded.gate import check_rules, nondeterministic_calls
from gateway.policy.embedded.interpreter import UNDEFINED, EvaluationError, Interpreter, parse_modules
from gateway.policy.source import PolicySource
from tests.gateway.policy.embedded.opa_cases import ASKED, OpaCase, needs_shared, opa_cases, unordered

RIGHT = 1_093
"""Cases that are answered as OPA in strict mode does: with its value, or a failure where it fails."""
REFUSED = 881
"""Cases that the gate refuses: nearly all are about a builtin that is absent or answers otherwise."""
FAILED = 10
"""Cases in which the evaluation fails, and OPA's does not: safe, since a failure refuses."""
KNOWN = {
    "defaultkeyword/function with var arg, ref head": "a package that holds functions alone is shown as {}",
    "refheads/general, set leaf, deep query": "an element of a set below two computed keys is not found",
}
"""Cases that the gate lets through and the interpreter answers wrongly. No error comes out as undefined."""


def judged(case: OpaCase) -> str:
    """What becomes of the case: right, refused, failed, or wrong."""
    try:
        modules = parse_modules(case.modules)
        if check_rules(modules) or nondeterministic_calls(modules):
            return "refused"
        text = msgspec.json.encode(case.data).decode()
        interpreter = Interpreter(PolicySource(modules=case.modules, data=text, entry_points=()))
    except BundleError:
        return "refused"
    try:
        found = interpreter.evaluate(ASKED, case.document)
    except EvaluationError:
        return "right" if case.fails else "failed"
    if found == UNDEFINED:
        return "right" if not case.wanted and not case.fails else "wrong"
    same = [unordered(msgspec.json.decode(found))] == [unordered(value) for value in case.wanted]
    return "right" if same else "wrong"


@needs_shared
def test_what_passes_the_gate_is_answered_as_opa_answers() -> None:
    """Right, refused with a reason, or failed, which refuses: wrong are only cases that are known by name."""
    cases = list(opa_cases())
    found = [(judged(case), case.note) for case in cases]
    counts = Counter(verdict for verdict, _ in found)
    assert {note for verdict, note in found if verdict == "wrong"} <= KNOWN.keys()
    assert counts["right"] >= RIGHT, counts
    assert counts["failed"] <= FAILED, counts
    assert counts["refused"] <= REFUSED, counts
