"""The two evaluators of the embedded engine, with their edges taken off: an answer as JSON text, or `EvaluationError`. Nothing else.

Both are bound to the thread that made them and hold the interpreter's lock while they work.
"""

import threading
from collections.abc import Callable
from typing import Final

import regorus

from gateway.policy.answer import AnswerError, PolicyAnswer, parse_answer
from gateway.policy.source import PolicySource

UNDEFINED: Final = '"<undefined>"'
"""How regorus writes that a rule has no value. Inside an answer it is always this: a quote in a real string is escaped."""
SHOWN: Final = 300


class EvaluationError(Exception):
    """There is no answer. The text is for an operator's eyes, bounded, without a stack."""


class InstructionLimitReached(EvaluationError):
    """The machine's own limit of 25,000 instructions: the document is too much for it, the interpreter may be asked."""


class EvaluatorPanicked(EvaluationError):
    """The evaluator is in an unknown state."""


def parse_result(text: str) -> PolicyAnswer:
    """Parses what an evaluator returned for a `decision` rule. Raises `AnswerError`, also where a part is undefined."""
    # regorus writes an undefined part as a string, which would pass for text where the answer may hold any text.
    if UNDEFINED in text:
        raise AnswerError("the rules give no decision: it, or something in it, is undefined")
    return parse_answer(text)


class VirtualMachine:
    """The quick one: rules compiled to instructions. Right only for rules that passed the gate.

    Raises `EvaluationError` where they do not compile, naming file and line.
    """

    def __init__(self, source: PolicySource) -> None:
        self._thread = threading.get_ident()
        self._data = source.data
        try:
            self._program = regorus.Program.compile_from_modules(
                source.data, list(source.modules), list(source.entry_points)
            )
            self._machine = self._load()
        except RuntimeError as error:
            raise EvaluationError(one_line(error)) from None

    def evaluate(self, entry_point: str, document: bytes) -> str:
        """The value of the rule `entry_point`, as JSON, for the input `document`, which is JSON."""
        if threading.get_ident() != self._thread:
            raise EvaluationError("asked on another thread than the one the engine lives on")
        try:
            return _attempt(lambda: self._execute(entry_point, document))
        except EvaluatorPanicked:
            self._machine = self._load()
            raise

    def _execute(self, entry_point: str, document: bytes) -> str:
        self._machine.set_input_json(document.decode())
        answer: str = self._machine.execute_entry_point(entry_point)
        return answer

    def _load(self) -> regorus.Rvm:
        machine = regorus.Rvm()
        machine.load_program(self._program)
        machine.set_data_json(self._data)
        return machine


class Interpreter:
    """The thorough one: walks the syntax tree, knows `with`, has no limit of its own, so it works where it can be killed, and in tests."""

    def __init__(self, source: PolicySource) -> None:
        self._engine = regorus.Engine()
        try:
            for file, text in source.modules:
                self._engine.add_policy(file, text)
            self._engine.add_data_json(source.data)
        except RuntimeError as error:
            raise EvaluationError(one_line(error)) from None

    def evaluate(self, entry_point: str, document: bytes) -> str:
        """The value of the rule `entry_point`, as JSON, for the input `document`, which is JSON."""
        return _attempt(lambda: self._execute(entry_point, document))

    def _execute(self, entry_point: str, document: bytes) -> str:
        self._engine.set_input_json(document.decode())
        answer: str = self._engine.eval_rule_as_json(entry_point)
        return answer


def _attempt(execute: Callable[[], str]) -> str:
    try:
        return execute()
    except (RuntimeError, ValueError) as error:
        what = one_line(error)
        raise (InstructionLimitReached if "instruction limit" in what else EvaluationError)(what) from None
    except BaseException as error:
        # A panic of the Rust side: pyo3 raises it outside of `Exception`, as a class that cannot be imported.
        if type(error).__name__ != "PanicException":
            raise
        raise EvaluatorPanicked(f"the evaluator panicked: {one_line(error)}") from None


def one_line(error: BaseException) -> str:
    """What regorus says, in one line: `file:line: what is wrong`, without its Rust and interpreter stacks."""
    said = str(error).split("Stack backtrace:")[0].split("Caused by:")[0].strip()
    lines = [line.strip() for line in said.splitlines()]
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
    return f"{place}{wrong}"[:SHOWN]
