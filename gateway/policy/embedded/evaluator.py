"""Wraps the two evaluators of regorus: they return JSON text or raise `EvaluationError`, nothing else.

Both are bound to the thread that made them and hold Python's global interpreter lock while they evaluate.
"""

import threading
from collections.abc import Callable
from typing import Final

import regorus

from gateway.policy.answer import AnswerError, PolicyAnswer, parse_answer
from gateway.policy.source import PolicySource

UNDEFINED: Final = '"<undefined>"'
"""The text that regorus writes for an undefined value in JSON.

With its quotes it is no part of a longer string, in which quotes are escaped.
"""
MESSAGE_MAXIMUM: Final = 300


class EvaluationError(Exception):
    """An evaluation has no result. The text is for operators: bounded, without a stack trace."""


class InstructionLimitReached(EvaluationError):
    """An evaluation reached the virtual machine's limit of 25,000 instructions; the interpreter has none."""


class EvaluatorPanicked(EvaluationError):
    """The Rust code panicked: the evaluator is in an unknown state."""


def parse_result(text: str) -> PolicyAnswer:
    """Parses the JSON text that an evaluator returned for a `decision` rule.

    Raises `AnswerError`, also where a part of it is undefined.
    """
    # Where the answer may hold any text, the string that stands for an undefined part would pass for one.
    if UNDEFINED in text:
        raise AnswerError("the rules give no decision: it, or something in it, is undefined")
    return parse_answer(text)


class VirtualMachine:
    """Runs rules compiled to instructions (`Rvm` of regorus). Fast; correct only for what `subset` accepts.

    The constructor raises `EvaluationError`, with file and line, for rules that do not compile.
    """

    def __init__(self, source: PolicySource) -> None:
        self._thread = threading.get_ident()
        self._data = source.data
        try:
            self._program = regorus.Program.compile_from_modules(
                source.data, list(source.modules), list(source.entry_points)
            )
            self._machine = self._load_program()
        except RuntimeError as error:
            raise EvaluationError(one_line(error)) from None

    def evaluate(self, entry_point: str, document: bytes) -> str:
        """Evaluates the rule `entry_point` with the JSON `document` as input; returns its value as JSON.

        Raises `EvaluationError`.
        """
        # gordon-to-regorus 0.13.0 marks its classes `unsendable`: on another thread pyo3 panics.
        if threading.get_ident() != self._thread:
            raise EvaluationError("asked on another thread than the one the engine lives on")
        try:
            return _run(lambda: self._execute(entry_point, document))
        except EvaluatorPanicked:
            # A panic leaves the virtual machine in the middle of something; the compiled program is not
            # changed by runs.
            self._machine = self._load_program()
            raise

    def _execute(self, entry_point: str, document: bytes) -> str:
        self._machine.set_input_json(document.decode())
        answer: str = self._machine.execute_entry_point(entry_point)
        return answer

    def _load_program(self) -> regorus.Rvm:
        machine = regorus.Rvm()
        machine.load_program(self._program)
        machine.set_data_json(self._data)
        return machine


class Interpreter:
    """Walks the syntax tree (regorus' `Engine`). Slower; supports `with`, and has no limit of its own.

    So it is used in tests, and in a process that can be killed.
    """

    def __init__(self, source: PolicySource) -> None:
        self._engine = regorus.Engine()
        try:
            for file, text in source.modules:
                self._engine.add_policy(file, text)
            self._engine.add_data_json(source.data)
        except RuntimeError as error:
            raise EvaluationError(one_line(error)) from None

    def evaluate(self, entry_point: str, document: bytes) -> str:
        """Evaluates the rule `entry_point` with the JSON `document` as input; returns its value as JSON.

        Raises `EvaluationError`.
        """
        return _run(lambda: self._execute(entry_point, document))

    def _execute(self, entry_point: str, document: bytes) -> str:
        self._engine.set_input_json(document.decode())
        answer: str = self._engine.eval_rule_as_json(entry_point)
        return answer


def _run(execute: Callable[[], str]) -> str:
    try:
        return execute()
    except (RuntimeError, ValueError) as error:
        message = one_line(error)
        raise (InstructionLimitReached if "instruction limit" in message else EvaluationError)(
            message
        ) from None
    except BaseException as error:
        # A Rust panic: pyo3 raises `pyo3_runtime.PanicException`, a BaseException of a module that cannot be
        # imported.
        if type(error).__name__ != "PanicException":
            raise
        raise EvaluatorPanicked(f"the evaluator panicked: {one_line(error)}") from None


def one_line(error: BaseException) -> str:
    """The message of a regorus error in one line, `file:line: message`, without its stack traces."""
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
