"""A real OPA in strict mode on its own conformance cases: the ledger beside the embedded engine's."""

import os
import subprocess
from collections import Counter
from pathlib import Path

import msgspec

from tests.gateway.policy.embedded.opa_cases import ASKED, OpaCase, needs_shared, opa_cases, unordered
from tests.opa_fixture import OPA, needs_opa

EVERY = int(os.environ.get("WAYPOST_OPA_CASES_EVERY", "40"))
"""Which part of the cases is run, each in a process of its own; 1 by hand, for all."""
KNOWN = {
    "data/nested integer",
    "reachable_paths/cycle_1022_3",
    "withkeyword/builtin-builtin: arity 0",
    "withkeyword/builtin-value: arity-1, input must still be defined",
}
"""Artefacts of the suite, or of asking by `opa eval`, which has an input and a runtime of its own."""


def judged(case: OpaCase, folder: Path) -> str:
    """What becomes of the case: right, wrong, or failed where it should not."""
    folder.mkdir()
    for name, text in case.modules:
        (folder / name).write_text(text)
    (folder / "data.json").write_bytes(msgspec.json.encode(case.data))
    options = ("--strict-builtin-errors", "--bundle", str(folder), "--format", "json")
    # What is no JSON (a set) is a term of the query.
    query = f"result := {ASKED} with input as {case.document.decode()}"
    printed = subprocess.run([str(OPA), "eval", *options, query], capture_output=True, check=False).stdout
    answer = msgspec.json.decode(printed or b"{}")
    if "errors" in answer:
        return "right" if case.fails else "failed"
    found = [unordered(one["bindings"]["result"]) for one in answer.get("result", ())]
    return "right" if not case.fails and found == [unordered(value) for value in case.wanted] else "wrong"


@needs_opa
@needs_shared
def test_opa_in_strict_mode_answers_its_own_cases(tmp_path: Path) -> None:
    """An error that comes out undefined counts as wrong: so it would without strict mode."""
    cases = list(opa_cases())[::EVERY]
    found = [(judged(case, tmp_path / str(number)), case.note) for number, case in enumerate(cases)]
    assert {note for verdict, note in found if verdict == "wrong"} <= KNOWN
    counts = Counter(verdict for verdict, _ in found)
    assert counts["failed"] <= max(1, len(cases) // 60), [found for found in found if found[0] == "failed"]
