"""Measures which recorded policy decisions other rules would change, and prints them by tenant and rule."""

import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from typing import Final

import msgspec
from msgspec import Struct

from gateway.cli.arguments import Format
from gateway.cli.errors import Exit
from gateway.cli.output import console, print_value, table
from gateway.policy.flips import KINDS, Flip, Recorded

WORDS: Final = {
    "allowed": "newly allowed",
    "unanswered": "without an answer",
    "refused": "newly refused",
    "changed": "otherwise decided",
}
PROGRESS_EVERY: Final = 100
"""The number of decisions between two lines of progress."""


class Impact(Struct, frozen=True, kw_only=True):
    """The result of replaying recorded policy queries with other rules: changed decisions, counts, time."""

    flips: tuple[Flip, ...]
    read: int
    asked: int
    """The number of policy queries replayed; fewer than were read if some cannot be asked again."""
    seconds: float
    tenants: frozenset[str] = frozenset()
    """The tenants whose policy decisions were read."""


async def measure(
    corpus: Iterable[Recorded],
    ask: Callable[[Iterator[Recorded]], AsyncIterator[tuple[Recorded, Flip | None]]],
) -> Impact:
    """Replays each policy query of `corpus` by `ask`, and collects the decisions that change.

    `ask` yields each query that it could replay, with the changed decision, or None if it is the same.
    """
    read = asked = 0
    flips: list[Flip] = []
    tenants: set[str] = set()

    def counted() -> Iterator[Recorded]:
        nonlocal read
        for recorded in corpus:
            read += 1
            tenants.add(recorded.tenant)
            yield recorded

    screen, started = console(stderr=True, width=None), time.perf_counter()
    with screen.status("asking") if screen.is_terminal else nullcontext() as status:
        async for _, flip in ask(counted()):
            asked += 1
            if flip is not None:
                flips.append(flip)
            if status is not None and not asked % PROGRESS_EVERY:
                rate = asked / (time.perf_counter() - started)
                status.update(f"{asked:,} decisions, {rate:,.0f} a second, {len(flips)} flips")
    flips.sort(key=lambda flip: (KINDS.index(flip.kind), flip.tenant, flip.rules))
    seconds = time.perf_counter() - started
    return Impact(
        flips=tuple(flips), read=read, asked=asked, seconds=seconds, tenants=frozenset(tenants - {""})
    )


def print_flips(flips: Sequence[Flip], output: Format) -> None:
    """Prints the changed policy decisions: grouped by tenant and rule in a table, singly for programs."""
    if output is not Format.TABLE:
        print_value(msgspec.to_builtins(list(flips)), output)
    elif flips:
        _print_table(flips)


def print_counts(impact: Impact) -> None:
    """Prints on standard error how many policy decisions the other rules change, by kind of change."""
    counts, left = Counter(flip.kind for flip in impact.flips), impact.read - impact.asked
    skipped = f", {left} cannot be asked again" if left else ""
    rate = f"; {impact.asked / impact.seconds:,.0f} a second" if impact.asked else ""
    kinds = ", ".join(f"{counts[kind]} {WORDS[kind]}" for kind in KINDS)
    console(stderr=True).print(f"{impact.asked} decisions: {kinds}{skipped}{rate}", markup=False)
    if len(impact.tenants) == 1:
        note = f"all are of tenant {next(iter(impact.tenants))}: only operators see the decisions of others"
        console(stderr=True).print(note, markup=False)


def exit_code(impact: Impact, *, allow_widening: bool) -> Exit:
    """Returns a replay's exit code: `FAILED` if a query got no answer or is newly allowed, else `DONE`.

    With `allow_widening`, newly allowed queries are no failure.
    """
    kinds = {flip.kind for flip in impact.flips}
    failed = "unanswered" in kinds or ("allowed" in kinds and not allow_widening)
    return Exit.FAILED if failed else Exit.DONE


def _print_table(flips: Iterable[Flip]) -> None:
    groups: dict[tuple[str, str, str, str], list[Flip]] = {}
    for flip in flips:
        groups.setdefault((flip.kind, flip.tenant, ", ".join(flip.rules), flip.action), []).append(flip)
    rows = (
        [WORDS[kind], len(same), action, tenant, rules, same[0].id, same[0].detail]
        for (kind, tenant, rules, action), same in groups.items()
    )
    console().print(table(["CHANGE", "DECISIONS", "ACTION", "TENANT", "RULES", "EXAMPLE", "DETAIL"], rows))
