"""Tests that the embedded engine answers small rules as OPA in strict mode does, or refuses them."""

from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest
from msgspec import Struct

from gateway.policy.source import Diagnostic
from tests.gateway.policy.embedded.small_rules.comparison import FAILS, HERE, embedded_values, values_of_opa
from tests.gateway.policy.embedded.small_rules.generated_rules import RuleGenerator
from tests.opa_fixture import needs_opa

RULES = [line.replace("\\n", "\n") for line in (HERE / "rules.txt").read_text().splitlines()]
EVERY = 4
"""The sampling of the listed rules where few are asked for: one in so many."""
NO_VALUES = ("undefined", "[]", "{}")
"""The values of a rule of which no part holds."""


class Comparison(Struct):
    """How many rules both engines answer alike, how many are refused, and what they answer differently."""

    alike: int = 0
    refused: int = 0
    failed: list[str] = []
    """The rules that fail where OPA goes on, which makes no decision: 503."""
    unreached: list[str] = []
    """The rules that fail on OPA alone, and hold nowhere here: what is missing is found before what fails."""
    other: list[str] = []
    """All other rules that the engines answer differently: without a word a decision would be another."""


async def compared(rules: Sequence[str], folder: Path) -> Comparison:
    """Compares the values of rules on both engines; leaves out rules that OPA does not compile."""
    found = Comparison()
    for number, theirs in sorted((await values_of_opa(rules, folder)).items()):
        own = embedded_values(number, rules[number])
        text = f"{rules[number]}\n   here: {own}\n   OPA:  {theirs}"
        if places := [one for one in own if isinstance(one, Diagnostic)]:
            assert all(one.file and one.line for one in places), text
            found.refused += 1
            continue
        differing = [(str(one), two) for one, two in zip(own, theirs, strict=True) if one != two]
        if not differing:
            found.alike += 1
        elif all(one == FAILS for one, _ in differing):
            found.failed.append(text)
        elif all(one == FAILS or (two == FAILS and one in NO_VALUES) for one, two in differing):
            found.unreached.append(text)
        else:
            found.other.append(text)
    return found


@needs_opa
async def test_small_rules_are_answered_as_opa_does_or_refused(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """A rule that is silently answered otherwise lets in what it should keep out."""
    every = EVERY if request.config.getoption("--rules") < len(RULES) else 1
    found = await compared(RULES[::every], tmp_path)
    assert [*found.other, *found.failed, *found.unreached] == []
    assert found.alike * every > 0.8 * len(RULES)


@needs_opa
async def test_generated_rules_are_answered_as_opa_does_or_refused(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Most differences lie where two features meet, of which nobody writes a list.

    In what order the statements of a body are evaluated is not promised: of one that has no value and one
    that fails, either may come first.
    """
    generator = RuleGenerator(Random(11))
    rules = [generator.rule() for _ in range(request.config.getoption("--rules"))]
    found = await compared(rules, tmp_path)
    assert found.other == []
    assert found.alike > len(rules) / 2
    assert len(found.failed) + len(found.unreached) < len(rules) / 10
    assert found.refused < len(rules) / 8
