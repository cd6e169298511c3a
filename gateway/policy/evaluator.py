"""The quick evaluator of the embedded engine, with its edges taken off: an answer as JSON text, or `EvaluationError`. Nothing else.

It is bound to the thread that made it, holds the interpreter's lock while it works, and knows no time limit.
"""

import threading
from typing import Final

import regorus
from msgspec import Struct

UNDEFINED: Final = '"<undefined>"'
"""How regorus writes that a rule has no value. Inside quotes in an answer it is always this: a quote in a real string is escaped."""
SHOWN: Final = 300


class Rules(Struct, frozen=True, kw_only=True):
    """What an evaluator is made from: (file, text) of each module, the data as JSON, and the rules that it will be asked for."""

    modules: tuple[tuple[str, str], ...]
    data: str
    entry_points: tuple[str, ...]


class EvaluationError(Exception):
    """There is no answer. The text is for an operator's eyes, bounded, without a stack."""


class Evaluator:
    """Evaluates rules. Raises `EvaluationError` where they do not compile, naming file and line."""

    def __init__(self, rules: Rules) -> None:
        self._thread = threading.get_ident()
        self._data = rules.data
        try:
            self._program = regorus.Program.compile_from_modules(rules.data, list(rules.modules), list(rules.entry_points))
            self._machine = self._load()
        except RuntimeError as error:
            raise EvaluationError(plain(error)) from None

    def evaluate(self, entry_point: str, document: bytes) -> str:
        """The value of the rule `entry_point`, as JSON, for the input `document`, which is JSON."""
        if threading.get_ident() != self._thread:
            raise EvaluationError("asked on another thread than the one the engine lives on")
        try:
            self._machine.set_input_json(document.decode())
            answer: str = self._machine.execute_entry_point(entry_point)
        except (RuntimeError, ValueError) as error:
            raise EvaluationError(plain(error)) from None
        except BaseException as error:
            if not is_panic(error):
                raise
            self._machine = self._load()  # a machine that panicked is in an unknown state
            raise EvaluationError(f"the evaluator panicked: {plain(error)}") from None
        return answer

    def _load(self) -> regorus.Rvm:
        machine = regorus.Rvm()
        machine.load_program(self._program)
        machine.set_data_json(self._data)
        return machine


def is_panic(error: BaseException) -> bool:
    """A panic of the Rust side: pyo3 raises it outside of `Exception`, as a class that cannot be imported."""
    return type(error).__name__ == "PanicException"


def plain(error: BaseException) -> str:
    """What regorus says, in one line: `file:line: what is wrong`, without its Rust and interpreter stacks."""
    said = str(error).split("Stack backtrace:")[0].split("Caused by:")[0].strip()
    lines = [line.strip() for line in said.splitlines()]
    place = next((":".join(line.removeprefix("--> ").split(":")[:-1]) + ": " for line in lines if line.startswith("--> ")), "")
    wrong = next((line.removeprefix("error: ") for line in lines if line.startswith("error: ")), lines[-1] if lines else "no reason given")
    return f"{place}{wrong}"[:SHOWN]
