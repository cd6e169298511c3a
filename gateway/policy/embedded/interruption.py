"""Makes evaluations interruptible: rules call a function of ours in loops that may take long.

regorus 0.13 has no limit of its own, and holds the interpreter lock while it evaluates. So a call is written
before each loop that runs within another one, or in a function, which may be called in a loop. What runs
between two calls is one loop, and is bounded by the size of what it runs over.
"""

from collections.abc import Generator, Iterable, Iterator
from typing import Any, Final, TypeAlias

from gateway.policy.embedded.builtins import UNBOUNDED
from gateway.policy.embedded.gate import calls
from gateway.policy.embedded.syntax_tree import (
    COMPREHENSIONS,
    NESTED,
    Module,
    SyntaxNode,
    expressions,
    extent,
    is_bare,
    loops_over,
    only,
    parts,
    single_names,
)

CHECKPOINT: Final = "waypost_embedded.checkpoint"
"""The function that is called; it raises where the evaluation is to end."""
FREE_LOOPS: Final = 1
"""How many loops within one another run without a call."""

Insertion: TypeAlias = tuple[int, str]
"""An offset, and what is written there."""


def with_checkpoints(module: Module) -> str:
    """The text of the module with calls of `CHECKPOINT` in its inner loops."""
    at, written = 0, []
    for place, text in sorted({one for rule in module.rules for one in _in_rule(module, rule)}):
        written.append(module.text[at:place].decode() + text)
        at = place
    return "".join(written) + module.text[at:].decode()


def is_bounded(modules: Iterable[Module]) -> bool:
    """False if rules call a builtin whose result may be much larger than what it is given."""
    return UNBOUNDED.isdisjoint(calls(modules))


def _in_rule(module: Module, rule: SyntaxNode) -> Iterator[Insertion]:
    _, value = only(rule)
    single = single_names(module, rule)
    around = 1 if "head" in value and only(value["head"])[0] == "Func" else 0
    for body in value.get("bodies", ()):
        loops = around
        if (query := body["query"]) is not None:
            loops = yield from _in_query(module, query, single, around)
        yield from _in_expression(module, body.get("assign"), single, loops)
    yield from _in_expression(module, parts(rule)[1:5], single, around)


def _in_query(
    module: Module, query: SyntaxNode, single: frozenset[str], around: int
) -> Generator[Insertion, None, int]:
    """The calls to write in a query that runs in `around` loops; returns in how many what follows it runs."""
    for statement in query["stmts"]:
        start, end = extent(module, statement)
        inner = list(_in_expression(module, statement, single, around))
        loops = _loops(statement, single)
        if (loops or inner) and around >= FREE_LOOPS:
            bare = is_bare(module, query)
            yield start, "{ " * bare + f"{CHECKPOINT}(); "
            if bare:
                yield end, " }"
        yield from inner
        around += loops
    return around


def _in_expression(module: Module, tree: Any, single: frozenset[str], around: int) -> Iterator[Insertion]:
    """The calls to write in the comprehensions and `every` of `tree`, which runs in `around` loops."""
    for kind, value in expressions(tree, closed=NESTED):
        if kind == "Every":
            yield from _in_expression(module, value["domain"], single, around)
            if around >= FREE_LOOPS:
                yield extent(module, value["query"]["stmts"][0])[0], f"{CHECKPOINT}(); "
            yield from _in_query(module, value["query"], single, around + 1)
        elif kind in COMPREHENSIONS:
            loops = yield from _in_query(module, value["query"], single, around)
            result = [value.get(part) for part in ("term", "key", "value")]
            yield from _in_expression(module, result, single, loops)


def _loops(statement: SyntaxNode, single: frozenset[str]) -> bool:
    """True if the statement, apart from what is nested in it, may hold several times."""
    return bool(loops_over(statement, single)) or any(
        kind == "SomeIn" or (kind == "Call" and only(value["fcn"])[1].get("value") == "walk")
        for kind, value in expressions(statement, closed=NESTED)
    )
