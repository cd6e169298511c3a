"""Measures in processor time what a bundle's policy decisions cost, relative to the shipped rules.

The bundle's and the shipped rules are measured in one run, and the least of some rounds counts: other work of
the machine changes the ratio little.
"""

import itertools
import math
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from graphlib import TopologicalSorter
from typing import Final, TypeAlias

import msgspec
from msgspec import Struct, structs

from gateway.cli.policy.corpus import grown_input
from gateway.core.decision import Action
from gateway.policy.bundle import SHIPPED_POLICIES, Bundle, read_bundle
from gateway.policy.embedded.gate import rule_dependencies
from gateway.policy.embedded.interpreter import EvaluationError, Interpreter, Interrupted
from gateway.policy.embedded.syntax_tree import Module, head_of, only
from gateway.policy.question import ENTRY_POINTS
from gateway.policy.source import Diagnostic, PolicySource

ROUNDS: Final = 3
SIZES: Final = (1, 10, 100, 1_000)
"""The numbers of tasks of the documents for which decisions are measured."""
GROWTH_MAXIMUM: Final = 10**1.5
"""The maximum factor of cost for ten times the tasks: ten is linear, a hundred quadratic."""
SUSPECT: Final = 1.25
"""The growth of the relative cost of a decision from which on each rule is measured by itself."""
FIRST_SECONDS: Final = 0.05
"""The processor time that an evaluation is granted at least, before it is ended."""
SHARE: Final = 0.25
"""The part of a shipped decision's cost below which the growth of a rule is ignored."""
LONG_SECONDS: Final = 0.05
"""The processor time in seconds from which on an evaluation is measured only once."""
NOTHING: Final = "package nothing\n\nnothing := true\n"
"""A Rego rule that does nothing: its evaluation costs no more than parsing the input."""

BLANKED: Final = re.compile(rb"[^\n]")
"""Matches each byte of a rule that is blanked out, so that later text keeps its position."""

FAILURE: Final = re.compile(r"([^:]+):(\d+): (.*)", re.DOTALL)
"""Matches the error of a failed evaluation: file, line and reason."""

Rule: TypeAlias = tuple[str, ...]


class Cost(Struct, frozen=True, kw_only=True):
    """The result of a cost check of a policy bundle: its problems, and a sentence about the cost."""

    problems: tuple[Diagnostic, ...]
    note: str


def check_cost(
    bundle: Bundle, modules: Sequence[Module], *, budget: float, corpus: Sequence[bytes] = ()
) -> Cost:
    """Checks that the bundle's policy decisions cost at most `budget` times what the shipped rules cost.

    It also finds rules whose cost grows faster than the document, and evaluations that fail. Of the policy
    queries in `corpus` one in a hundred may cost more; without any, made-up ones are asked.
    """
    own = Interpreter(bundle.source)
    shipped = read_bundle(SHIPPED_POLICIES, None).source
    baseline = Interpreter(structs.replace(shipped, data=bundle.source.data))
    grown = {size: grown_input(size, bundle.source.data) for size in SIZES}
    documents = (*corpus, *grown.values())
    failures: dict[str, None] = {}
    costs = [_decision_costs(own, baseline, document, budget, failures) for document in documents]
    if failures:
        # An evaluation that fails costs more than one that does not: that is not what is wrong.
        return Cost(problems=tuple(map(_failure, failures)), note="")
    asked = costs[: len(corpus)] or costs
    (few, few_shipped), (many, many_shipped) = costs[-2:]
    multiple = sorted(mine / theirs for mine, theirs in asked)[math.ceil(0.99 * len(asked)) - 1]
    rules = RuleCosts(own, bundle.source, modules, grown)
    problems = []
    if many == math.inf or many / many_shipped > SUSPECT * few / few_shipped:
        problems += rules.growing(many_shipped)
        if not problems and many > GROWTH_MAXIMUM * few:
            problems.append(Diagnostic(file="rules", line=0, detail=f"a decision {_growth(few, many)}"))
    if multiple > budget and not problems:
        detail = f"a decision costs {_times(multiple)} what it costs by the rules that ship, over {budget:g}"
        problems.append(Diagnostic(file="rules", line=0, detail=detail))
        (mine, theirs), worst = max(
            zip(asked, documents, strict=False), key=lambda one: one[0][0] / one[0][1]
        )
        problems += rules.expensive(worst, min(mine, budget * theirs) / 2)
    note = (
        f"a decision costs {_times(multiple)} what it costs by the rules that ship (p99 of {len(asked)} "
        f"questions), and {_times(many / few)} as much for {SIZES[-1]:,} tasks as for {SIZES[-2]}"
    )
    return Cost(problems=tuple(problems), note="" if problems else note)


def _failure(text: str) -> Diagnostic:
    """Converts the text of a failed evaluation to a diagnostic, with the file and line that it names."""
    found = FAILURE.fullmatch(text)
    file, line, detail = ("rules", "0", text) if found is None else found.groups()
    detail = f"{detail} (in deciding about a submission; `waypost policy eval` decides about yours)"
    return Diagnostic(file=file, line=int(line), detail=detail)


def _decision_costs(
    own: Interpreter, shipped: Interpreter, document: bytes, budget: float, failures: dict[str, None]
) -> tuple[float, float]:
    """Measures one policy decision by the bundle's and by the shipped rules; returns both processor times.

    What has failed in evaluating the bundle's rules is added to `failures`.
    """
    rule = ENTRY_POINTS[msgspec.json.decode(document, type=AskedAction).action]
    theirs = _processor_seconds(shipped, rule, document, limit=math.inf)
    limit = max(FIRST_SECONDS, 3 * max(budget, 1) * theirs)
    return _processor_seconds(own, rule, document, limit=limit, failures=failures), theirs


class AskedAction(Struct):
    """The part of a rules' input document that names the action."""

    action: Action


def _processor_seconds(
    interpreter: Interpreter,
    rule: str,
    document: bytes,
    *,
    limit: float,
    failures: dict[str, None] | None = None,
) -> float:
    """Returns the seconds of processor time of one evaluation of `rule`; infinite if more than `limit`.

    The error of an evaluation that fails is added to `failures`.
    """
    least = math.inf
    for _ in range(ROUNDS):
        started = time.thread_time()
        try:
            interpreter.evaluate(rule, document, until=started + limit)
        except Interrupted:
            return math.inf
        except EvaluationError as error:
            # Without a value, which takes its time too.
            if failures is not None:
                failures[str(error)] = None
        least = min(least, time.thread_time() - started)
        if least > LONG_SECONDS:
            break  # what disturbs it is small beside it
    return least


class RuleCosts:
    """Measures the cost of each rule of a policy bundle by itself, to find the rules that cost too much."""

    def __init__(
        self,
        interpreter: Interpreter,
        source: PolicySource,
        modules: Sequence[Module],
        inputs: Mapping[int, bytes],
    ) -> None:
        self._interpreter, self._inputs = interpreter, inputs
        self._source, self._modules = source, modules
        self._graph, self._places = rule_dependencies(modules)
        nothing = PolicySource(modules=(("nothing.rego", NOTHING),), data="{}", entry_points=())
        self._reader = Interpreter(nothing)
        self._reading: dict[bytes, float] = {}
        asked = {
            module.resolve(head_of(rule)["refr"])
            for module in modules
            for rule in module.rules
            if not head_of(rule).get("args")
        }
        # What a rule needs comes before it.
        self._rules = [path for path in TopologicalSorter(self._graph).static_order() if path in asked]

    def growing(self, whole: float) -> list[Diagnostic]:
        """Returns a diagnostic for each rule whose cost grows faster than the document.

        `whole` is the seconds that all shipped rules take for the largest document: a rule that takes less
        than the fraction `SHARE` of that gets no diagnostic.
        """
        few, many = (self._inputs[size] for size in SIZES[-2:])

        def growth(path: Rule, interpreter: Interpreter) -> str:
            before = self._net_seconds(path, few, interpreter, limit=max(FIRST_SECONDS, whole))
            limit = max(FIRST_SECONDS, whole, GROWTH_MAXIMUM * before)
            if before == math.inf:
                return _growth(before, before)
            after = self._net_seconds(path, many, interpreter, limit=limit)
            return _growth(before, after) if after > max(SHARE * whole, GROWTH_MAXIMUM * before) else ""

        return self._blamed(growth)

    def expensive(self, document: bytes, much: float) -> list[Diagnostic]:
        """Returns a diagnostic for each rule that costs more than `much` seconds for `document`."""
        limit = max(FIRST_SECONDS, 2 * much)

        def share(path: Rule, interpreter: Interpreter) -> str:
            seconds = self._net_seconds(path, document, interpreter, limit=limit)
            return "is most of it" if seconds > much else ""

        return self._blamed(share)

    def _blamed(self, blame: Callable[[Rule, Interpreter], str]) -> list[Diagnostic]:
        guilty: dict[Rule, list[Diagnostic]] = {}
        for path in self._rules:
            # Who needs a guilty rule is as slow, and no news.
            if guilty.keys().isdisjoint(self._needed(path)) and (words := blame(path, self._interpreter)):
                named = {self._places[path]: words}
                named = {place: why for place, why in self._blame_definitions(path, blame) if why} or named
                guilty[path] = [
                    Diagnostic(file=file, line=line, detail=f"{'.'.join(path)} {why}")
                    for (file, line), why in named.items()
                ]
        return list(itertools.chain.from_iterable(guilty.values()))

    def _blame_definitions(
        self, path: Rule, blame: Callable[[Rule, Interpreter], str]
    ) -> Iterator[tuple[tuple[str, int], str]]:
        """Finds which definition of a rule is to blame for its cost; yields nothing if it has only one.

        Applies `blame` to the rule with all its definitions but one blanked out, for each in turn; yields the
        place of the one that was kept, with the text that `blame` returns (empty: not to blame).
        """
        spans = [
            (module.file, only(rule)[1]["span"])
            for module in self._modules
            for rule in module.rules
            if only(rule)[0] == "Spec" and module.resolve(head_of(rule)["refr"]) == path
        ]
        if len(spans) < 2:
            return
        for file, kept in spans:
            texts = {name: text.encode() for name, text in self._source.modules}
            for other, span in spans:
                if (other, span) != (file, kept):
                    text, start, end = texts[other], span["start"], span["end"]
                    texts[other] = text[:start] + BLANKED.sub(b" ", text[start:end]) + text[end:]
            modules = tuple((name, text.decode()) for name, text in texts.items())
            interpreter = Interpreter(structs.replace(self._source, modules=modules))
            yield (file, kept["line"]), blame(path, interpreter)

    def _needed(self, path: Rule) -> set[Rule]:
        open_, seen = [path], set[Rule]()
        while open_:
            if (one := open_.pop()) not in seen:
                seen.add(one)
                open_ += self._graph.get(one, ())
        return seen

    def _net_seconds(self, path: Rule, document: bytes, interpreter: Interpreter, *, limit: float) -> float:
        """Returns the seconds that the rule `path` costs without parsing its input; infinite over `limit`."""
        if (reading := self._reading.get(document, 0.0)) == 0.0:
            reading = _processor_seconds(self._reader, "data.nothing.nothing", document, limit=math.inf)
            self._reading[document] = reading
        took = _processor_seconds(interpreter, ".".join(path), document, limit=reading + limit)
        return max(1e-6, took - reading)


def _growth(before: float, after: float) -> str:
    times = f"{after / before:.0f}" if before < after < math.inf else f"more than {GROWTH_MAXIMUM:.0f}"
    return f"grows faster than the document: {SIZES[-1]:,} tasks cost {times} times as much as {SIZES[-2]}"


def _times(multiple: float) -> str:
    return f"{multiple:.1f} times" if multiple < math.inf else "too many times"
