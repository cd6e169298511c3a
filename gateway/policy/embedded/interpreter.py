"""A wrapper of the regorus interpreter for Rego: returns values as JSON text or raises `EvaluationError`.

It lives on the thread that made it, and holds Python's global interpreter lock while it evaluates.
"""

import re
import threading
import time
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final

import msgspec
import regorus
from msgspec import Struct, structs

from gateway.policy.answer import AnswerError, PolicyAnswer, parse_answer
from gateway.policy.embedded.interruption import CHECKPOINT, DataSize, is_bounded, size_of, with_checkpoints
from gateway.policy.embedded.replaced_builtins import REPLACED
from gateway.policy.embedded.rewriting.rules import rewrite_rules
from gateway.policy.embedded.rewriting.short_names import roots_of, with_short_names
from gateway.policy.embedded.syntax_tree import Module, read_modules
from gateway.policy.source import BundleError, Diagnostic, PolicySource

UNDEFINED: Final = '"<undefined>"'
"""The text that regorus writes for an undefined value in JSON.

With its quotes it is no part of a longer string, in which quotes are escaped.
"""
MESSAGE_MAXIMUM: Final = 300
TOO_MUCH: Final = "write it in several rules (it works on OPA: set policy.engine)"
WHERE_OPA_DOES: Final = " (where OPA can, it works on OPA: set policy.engine, or engine: opa in the bundle)"
_TOKENS: Final = re.compile(
    r'"(?:[^"\\\n]|\\.)*"|`[^`]*`|#[^\n]*|[\[({})\]]|\n(?=[^\s})\]#])|[-+*/%&|.,;]'
    r"|\b(?:else|with|some|every|not)\b"
)
"""Matches brackets, operators and the start of each rule; and strings and comments, in which none counts."""
NESTED_MAXIMUM: Final = 13
"""The maximum nesting of brackets: of lists regorus 0.13 takes twice as long per level, a second for 13."""
OPERATORS_MAXIMUM: Final = 1_000
"""The maximum number of operators in a rule outside inner brackets: several thousand end the process."""
COLUMNS_MAXIMUM: Final = 100_000
LINES_MAXIMUM: Final = 100_000
FILE_BYTES_MAXIMUM: Final = 16 << 20
"""The maximum size of a Rego file in bytes, a limit that regorus needs set.

Where no limits are set, regorus refuses lines of more than 1,024 characters.
"""


class EvaluationError(Exception):
    """Raised if a Rego evaluation has no result. Its text says why, for operators, in one short line."""


class RuleFailed(EvaluationError):
    """Raised if regorus reports an error in evaluating a rule. Its text may quote the document's values."""


class Interrupted(EvaluationError):
    """Raised if an evaluation of a Rego rule was stopped at a checkpoint, since its time was over."""


class InterpreterPanicked(RuleFailed):
    """Raised if regorus' Rust code panicked, so that the interpreter is in an unknown state."""


class PreparedRules(Struct, frozen=True, kw_only=True):
    """Rego modules rewritten for an `Interpreter`. Rewriting takes long; it may run on any thread."""

    modules: tuple[tuple[str, str], ...]
    data: str
    bounded: bool
    names: Mapping[str, str] = {}
    """The short names that rules have in `modules`, by their full names."""


def prepare_rules(source: PolicySource, *, tests: Sequence[tuple[str, str]] = ()) -> PreparedRules:
    """Rewrites the Rego modules of `source` for the interpreter. Raises `BundleError` for invalid Rego."""
    size = size_of(data := msgspec.json.decode(source.data))
    modules = (*source.modules, *tests)
    # Tests name rules and packages in ways of their own.
    rules = _prepare(modules, size, short=not tests)
    if not roots_of(rules.names).isdisjoint(data if isinstance(data, dict) else ()):
        # Data that have the name of a rule are read in its place.
        rules = _prepare(modules, size, short=False)
    return structs.replace(rules, data=source.data)


@lru_cache(maxsize=8)  # A bundle is prepared when it is checked, tried out and put in force.
def _prepare(modules: tuple[tuple[str, str], ...], size: DataSize, *, short: bool) -> PreparedRules:
    written = rewrite_rules(modules, parse_modules)
    texts, names = (short and with_short_names(written)) or ([], {})
    shortened = parse_modules(texts) or written
    return PreparedRules(
        modules=tuple((module.file, with_checkpoints(module, size)) for module in shortened),
        data="{}",
        bounded=is_bounded(shortened, size),
        names=names,
    )


class Interpreter:
    """A regorus interpreter that has loaded the rules and data of a policy bundle.

    The constructor raises `BundleError`, with file and line, for invalid Rego. `bounded`: whether checkpoints
    can end each evaluation in time; not where data are large, or a builtin makes large values of small ones.
    """

    def __init__(self, source: PolicySource | PreparedRules) -> None:
        self._thread = threading.get_ident()
        self._until = float("inf")
        self._rules = source if isinstance(source, PreparedRules) else prepare_rules(source)
        self.bounded = self._rules.bounded
        self._engine = self._load()
        # The first evaluation schedules the statements of every rule, and finds names without a value.
        try:
            self._engine.eval_query("true")
        except RuntimeError as error:
            raise BundleError([_diagnostic(*one_line(error).partition(":")[::2])]) from None

    def evaluate(self, rule: str, document: bytes, *, until: float = float("inf")) -> str:
        """Evaluates `rule` with the JSON `document` as input; returns its value as JSON.

        Raises `Interrupted` if the thread's processor time is past `until` at a checkpoint, `RuleFailed` if
        regorus reports an error, and `EvaluationError` on a thread other than the interpreter's own.
        """
        # gordon-to-regorus 0.13.0 marks its classes `unsendable`: on another thread pyo3 panics.
        if threading.get_ident() != self._thread:
            raise EvaluationError("asked on another thread than the one the engine lives on")
        self._until = until
        try:
            self._engine.set_input_json(document.decode())
            return str(self._engine.eval_rule_as_json(self._rules.names.get(rule, rule)))
        except (RuntimeError, ValueError) as error:
            if f"extension '{CHECKPOINT}' raises" in str(error):
                raise Interrupted("it takes long") from None
            raise RuleFailed(one_line(error)) from None
        except BaseException as error:
            # A Rust panic: pyo3's `PanicException`, a BaseException of a module that cannot be imported.
            if type(error).__name__ != "PanicException":
                raise
            # Later evaluations would find rules that seem to need themselves.
            self._engine = self._load()
            raise InterpreterPanicked(f"the evaluator panicked: {one_line(error)}") from None

    def _load(self) -> regorus.Engine:
        engine = _new_engine()
        for name, (arguments, function) in REPLACED.items():
            engine.add_extension(name, arguments, function)
        engine.add_extension(CHECKPOINT, 0, self._checkpoint)
        try:
            for file, text in self._rules.modules:
                engine.add_policy(file, text)
            engine.add_data_json(self._rules.data)
        except RuntimeError as error:
            raise BundleError([_diagnostic(*one_line(error).partition(":")[::2])]) from None
        return engine

    def _checkpoint(self) -> bool:
        if time.thread_time() > self._until:
            raise TimeoutError
        return True


def excess_of(file: str, text: str) -> Diagnostic | None:
    """Returns a diagnostic if a Rego file has so many brackets or operators that regorus crashes, or None."""
    line, at = 1, 0
    operators = [0]
    """The operators so far in each open bracket, and before them those outside of all."""
    for token in _TOKENS.finditer(text):
        line += text.count("\n", at, token.start())
        at, word = token.start(), token[0]
        if word in "[{(":
            operators.append(0)
        elif word in ")}]":
            operators = operators[:-1] or [0]
        elif word in ",;" or (word == "\n" and len(operators) == 1):
            operators[-1] = 0
        elif word[0] not in '"`#\n':
            operators[-1] += 1
        if len(operators) > NESTED_MAXIMUM + 1:
            return Diagnostic(file=file, line=line, detail=f"brackets nest too deep: {TOO_MUCH}")
        if operators[-1] > OPERATORS_MAXIMUM:
            return Diagnostic(file=file, line=line, detail=f"a rule has too many operators: {TOO_MUCH}")
    return None


def parse_modules(modules: Sequence[tuple[str, str]]) -> list[Module]:
    """Parses Rego modules, given as (file name, text), into syntax trees.

    Raises `BundleError`, with a diagnostic for each module that regorus cannot read.
    """
    if too_much := [found for file, text in modules if (found := excess_of(file, text))]:
        raise BundleError(too_much)
    engine, diagnostics = _new_engine(), []
    for file, text in modules:
        try:
            engine.add_policy(file, text)
        except RuntimeError as error:
            diagnostics.append(_diagnostic(file, one_line(error).removeprefix(f"{file}:")))
    if diagnostics:
        raise BundleError(diagnostics)
    try:
        return read_modules(msgspec.json.decode(engine.get_ast_as_json()))
    except RecursionError:
        raise BundleError(
            [Diagnostic(file="rules", line=0, detail=f"they nest too deep: {TOO_MUCH}")]
        ) from None


def parse_result(text: str) -> PolicyAnswer:
    """Parses the JSON text that the interpreter has returned as the value of a `decision` rule.

    Raises `AnswerError`, also where a part of it is undefined.
    """
    # Where the answer may hold any text, the string that stands for an undefined part would pass for one.
    if UNDEFINED in text:
        raise AnswerError("the rules give no decision: it, or something in it, is undefined")
    return parse_answer(text)


def _new_engine() -> regorus.Engine:
    engine = regorus.Engine()
    engine.set_policy_length_config(
        max_col=COLUMNS_MAXIMUM, max_file_bytes=FILE_BYTES_MAXIMUM, max_lines=LINES_MAXIMUM
    )
    return engine


def _diagnostic(file: str, text: str) -> Diagnostic:
    """Converts an error text of regorus, `line: detail`, to a diagnostic; other text to one without line."""
    line, _, detail = text.partition(":")
    place, detail = (int(line), detail.strip()) if line.isdigit() else (0, text)
    return Diagnostic(
        file=file, line=place, detail=f"the embedded engine cannot read this: {detail}{WHERE_OPA_DOES}"
    )


def one_line(error: BaseException) -> str:
    """Formats a regorus error as one line, `file:line: message`, without its stack traces."""
    text = str(error).split("Stack backtrace:")[0].split("Caused by:")[0].strip()
    lines = [line.strip() for line in text.splitlines()]
    place = next(
        (
            ":".join(line.removeprefix("--> ").split(":")[:-1]) + ": "
            for line in lines
            if line.startswith("--> ")
        ),
        "",
    )
    wrong = next(
        (line.removeprefix("error: ") for line in lines if line.startswith("error: ")),
        lines[-1] if lines else "no reason given",
    )
    return f"{place}{wrong}"[:MESSAGE_MAXIMUM]
