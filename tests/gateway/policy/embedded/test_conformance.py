"""Runs OPA's conformance cases on the embedded engine; the numbers of right answers may only grow."""

from collections import Counter

import msgspec

from gateway.policy.embedded.gate import check_rules, nondeterministic_calls
from gateway.policy.embedded.interpreter import UNDEFINED, EvaluationError, Interpreter, parse_modules
from gateway.policy.source import BundleError, PolicySource
from tests.gateway.policy.embedded.opa_cases import ASKED, OpaCase, needs_shared, opa_cases, unordered

RIGHT = 1_039
"""The number of cases answered as OPA in strict mode does: its value, or a failure where it fails."""
REFUSED = 936
"""The number of cases that the check of rules refuses: for a builtin, but for 54 with object patterns."""
FAILED = 9
"""The number of cases whose evaluation fails and OPA's does not; safe, since a failure refuses."""
KNOWN = {
    "defaultkeyword/function with var arg, ref head": "a package that holds functions alone is shown as {}",
    "refheads/general, set leaf, deep query": "an element of a set below two computed keys is not found",
}
"""The cases that the check of rules accepts and the interpreter answers wrongly."""


def judged(case: OpaCase) -> str:
    """Returns how the engine answers a case: right, refused, failed, or wrong."""
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
