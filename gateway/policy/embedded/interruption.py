"""Makes Rego evaluations interruptible: inserts calls of a checkpoint function into long loops.

regorus 0.13 has no limit of its own, and holds the interpreter lock while it evaluates. So a call is written
before each loop that runs within another one, or in a function, which may be called in a loop; with large
data, before each loop. Between two calls at most one loop runs, and its length is bounded: it runs over the
document or the data, both of which have a maximum size here.
"""

from collections.abc import Generator, Iterable, Iterator
from typing import Any, Final

from msgspec import Struct

from gateway.policy.embedded.builtins import UNBOUNDED
from gateway.policy.embedded.gate import called_names
from gateway.policy.embedded.syntax_tree import (
    COMPREHENSIONS,
    NESTED,
    Edit,
    Module,
    SyntaxNode,
    expressions,
    extent,
    is_bare,
    loops_over,
    only,
    parts,
    read_rule,
)

CHECKPOINT: Final = "waypost_embedded.checkpoint"
"""The name of the checkpoint function, which raises when the evaluation must end."""
FREE_LOOPS: Final = 1
"""The number of nested loops that need no checkpoint."""

FREE_MEMBERS: Final = 250
"""The maximum members of a list or object in the data for a loop over it to need no checkpoint: 0.4 ms."""
MEMBERS_MAXIMUM: Final = 2_000
"""The maximum members of a list or object in the data: one loop over it, uninterrupted, takes 3 ms."""
VALUES_MAXIMUM: Final = 20_000
"""The maximum number of values in all the data: `walk` takes 18 ms for so many."""


class DataSize(Struct, frozen=True, kw_only=True):
    """The size of a bundle's data: the members of the largest list or object, and the count of all values."""

    members: int
    values: int


def size_of(data: Any) -> DataSize:
    """Measures the JSON value `data`: the members of its largest list or object, and its values."""
    members, values, left = 0, 0, [data]
    while left:
        value = left.pop()
        values += 1
        if isinstance(value, (dict, list)):
            members = max(members, len(value))
            left.extend(value.values() if isinstance(value, dict) else value)
    return DataSize(members=members, values=values)


def with_checkpoints(module: Module, size: DataSize) -> str:
    """Returns the text of a Rego module with a call of `CHECKPOINT` before each of its inner loops.

    Where `size`, that of the data, is large, there is one before each loop.
    """
    around = FREE_LOOPS if size.members > FREE_MEMBERS else 0
    return module.edited(sorted({one for rule in module.rules for one in _in_rule(module, rule, around)}))


def is_bounded(modules: Iterable[Module], size: DataSize) -> bool:
    """Returns whether the time between two calls of `CHECKPOINT` is bounded.

    It is not where the data are larger than `MEMBERS_MAXIMUM` or `VALUES_MAXIMUM`, or where rules call one of
    the `UNBOUNDED` builtins, whose result may be much larger than their arguments.
    """
    few = size.members <= MEMBERS_MAXIMUM and size.values <= VALUES_MAXIMUM
    return few and UNBOUNDED.isdisjoint(called_names(modules))


def _in_rule(module: Module, rule: SyntaxNode, around: int) -> Iterator[Edit]:
    _, value = only(rule)
    single = read_rule(module, rule)[1].single
    if "head" in value and only(value["head"])[0] == "Func":
        around = FREE_LOOPS
    for body in value.get("bodies", ()):
        loops = around
        if (query := body["query"]) is not None:
            loops = yield from _in_query(module, query, single, around)
        yield from _in_expression(module, body.get("assign"), single, loops)
    yield from _in_expression(module, parts(rule)[1:5], single, around)


def _in_query(
    module: Module, query: SyntaxNode, single: frozenset[str], around: int
) -> Generator[Edit, None, int]:
    """Yields the checkpoint calls to insert in a query (a rule's body) that runs inside `around` loops.

    Returns the number of loops around what follows the query.
    """
    for statement in query["stmts"]:
        start, end = extent(module, statement)
        inner = list(_in_expression(module, statement, single, around))
        loops = _loops(statement, single)
        if (loops or inner) and around >= FREE_LOOPS:
            bare = is_bare(module, query)
            yield start, start, "{ " * bare + f"{CHECKPOINT}(); "
            if bare:
                yield end, end, " }"
        yield from inner
        around += loops
    return around


def _in_expression(module: Module, tree: Any, single: frozenset[str], around: int) -> Iterator[Edit]:
    """Yields the checkpoint calls to insert in the comprehensions and `every` of an expression.

    The expression runs inside `around` loops.
    """
    for kind, value in expressions(tree, closed=NESTED):
        if kind == "Every":
            yield from _in_expression(module, value["domain"], single, around)
            if around >= FREE_LOOPS:
                start = extent(module, value["query"]["stmts"][0])[0]
                yield start, start, f"{CHECKPOINT}(); "
            yield from _in_query(module, value["query"], single, around + 1)
        elif kind in COMPREHENSIONS:
            loops = yield from _in_query(module, value["query"], single, around)
            result = [value.get(part) for part in ("term", "key", "value")]
            yield from _in_expression(module, result, single, loops)


def _loops(statement: SyntaxNode, single: frozenset[str]) -> bool:
    """Returns whether a Rego statement may hold for several values: the statements after it run for each.

    Queries nested in the statement do not count.
    """
    return bool(loops_over(statement, single)) or any(
        kind == "SomeIn" or (kind == "Call" and only(value["fcn"])[1].get("value") == "walk")
        for kind, value in expressions(statement, closed=NESTED)
    )
