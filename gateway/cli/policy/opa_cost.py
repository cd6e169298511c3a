"""Measures how many evaluations a bundle's policy decisions take in OPA, relative to the shipped rules.

Counts are the same on every machine; the cost inside a builtin is not counted.
"""

import math
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
from msgspec import structs

from gateway.cli.policy.corpus import grown_input
from gateway.cli.policy.cost import GROWTH_MAXIMUM, SIZES, AskedAction, Cost
from gateway.cli.policy.opa_program import SECONDS, count_evaluations
from gateway.policy.bundle import SHIPPED_POLICIES, Bundle, read_bundle
from gateway.policy.question import ENTRY_POINTS
from gateway.policy.source import Diagnostic

ASKED_MAXIMUM: Final = 20
"""The maximum number of policy queries of a corpus that are measured, as each starts a process."""
SHARE: Final = 0.25
"""The part of the shipped rules' evaluations below which the growth of a line is ignored."""


def check_cost_in_opa(opa: Path, bundle: Bundle, *, budget: float, corpus: Sequence[bytes] = ()) -> Cost:
    """Checks that decisions take OPA at most `budget` times the evaluations that the shipped rules take.

    This is checked for the first `ASKED_MAXIMUM` queries of `corpus`; without any, for made-up ones. Also
    finds lines of rules whose number of evaluations grows faster than the document.
    """
    source = structs.replace(read_bundle(SHIPPED_POLICIES, None).source, data=bundle.source.data)
    shipped = structs.replace(bundle, source=source)
    few, many = (grown_input(size, bundle.source.data) for size in SIZES[-2:])
    documents = [*corpus[:ASKED_MAXIMUM], few, many]
    try:
        own = [count_evaluations(opa, bundle, _rule(one), one) for one in documents]
    except subprocess.TimeoutExpired:
        detail = f"OPA does not decide about {SIZES[-1]:,} tasks within {SECONDS:.0f} s"
        return Cost(problems=(Diagnostic(file="rules", line=0, detail=detail),), note="")
    theirs = [count_evaluations(opa, shipped, _rule(one), one).total() for one in documents]
    multiples = [counts.total() / max(1, total) for counts, total in zip(own, theirs, strict=True)]
    asked = sorted(multiples[: len(documents) - 2] or multiples)
    multiple = asked[math.ceil(0.99 * len(asked)) - 1]
    problems = [
        Diagnostic(
            file=file,
            line=line,
            detail=f"grows faster than the document: OPA evaluates it {own[-2][file, line]:,} times for "
            f"{SIZES[-2]} tasks and {count:,} times for {SIZES[-1]:,}",
        )
        for (file, line), count in sorted(own[-1].items())
        if count > SHARE * theirs[-1] and count > GROWTH_MAXIMUM * own[-2][file, line]
    ]
    if multiple > budget and not problems:
        (file, line), count = own[-2].most_common(1)[0]
        detail = f"a decision evaluates {multiple:.1f} times what the rules that ship do, over {budget:g}; "
        detail += f"{count:,} times what is here"
        problems.append(Diagnostic(file=file, line=line, detail=detail))
    grown = own[-1].total() / max(1, own[-2].total())
    note = (
        f"in OPA a decision evaluates {multiple:.1f} times what the rules that ship do (p99 of {len(asked)} "
        f"questions), and {grown:.1f} times as much for {SIZES[-1]:,} tasks as for {SIZES[-2]}"
    )
    return Cost(problems=tuple(problems), note="" if problems else note)


def _rule(document: bytes) -> str:
    return ENTRY_POINTS[msgspec.json.decode(document, type=AskedAction).action]
