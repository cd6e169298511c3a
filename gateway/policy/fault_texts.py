"""Removes the document's values from the error texts of policy evaluators, before they are recorded.

Performs no I/O. Without a decision no rule has said which values to mask, so all are removed. Of an error
remain its code, file and line, the name of a builtin, and a sentence that is in `SENTENCES`; of an answer
that is no decision, the parser's message without what it quotes.
"""

import re
from typing import Final

_PLACE: Final = re.compile(r"[\w./-]{1,200}\.rego:\d{1,9}")
_TYPES: Final = re.compile(r"`([a-z][\w.]{0,60})` (?:expects|requires) [\w /`\[\],]{1,80}? argument")
_EXTENSION: Final = re.compile(r"extension '([a-z][\w.]{0,60})' raises")
_BUILTIN: Final = re.compile(r"([a-z][a-z0-9_]*(?:\.[a-z][a-z0-9_]*)*): ")
_CODE: Final = re.compile(r"[a-z_]{1,40}")
_QUOTED: Final = re.compile(r"'[^']*'|unknown field `[^`]*`")
SENTENCES: Final = (
    "complete rules should not produce multiple outputs",
    "complete rules must not produce multiple outputs",
    "could not deserialize json",
    "could not parse string as number",
    "decode failed",
    "decode failure",
    "divide by zero",
    "functions must not produce multiple outputs for same inputs",
    "invalid regex",
    "invalid semver",
    "modulo on floating-point number",
    "object keys must be unique",
    "the evaluator panicked",
)
"""The sentences of the evaluators that contain no document value."""


def of_interpreter(text: str) -> str:
    """Returns the text to record for an error of the embedded interpreter, without the document's values."""
    place = found[0] if (found := _PLACE.match(text)) else "rules"
    message = text.removeprefix(place).removeprefix(": ")
    if known := next((sentence for sentence in SENTENCES if message.startswith(sentence)), None):
        return f"{place}: {known}"
    if typed := _TYPES.match(message):
        return f"{place}: {typed[0]}"
    if failed := _EXTENSION.match(message):
        return f"{place}: {failed[1]} fails"
    return f"{place}: a builtin or rule fails"


def of_opa(code: str, message: str, *, file: str, row: int) -> str:
    """Returns the text to record for an error in OPA's answer: file, row, code, and a part of the message.

    That part is a sentence in `SENTENCES`, or else the name of a builtin that failed.
    """
    place = f"{file:.200}:{row}" if _PLACE.fullmatch(f"{file}:{row}") else "rules"
    kind = code if _CODE.fullmatch(code) else "an error"
    if known := next((sentence for sentence in SENTENCES if message.endswith(sentence)), None):
        return f"{place}: {kind}: {known}"
    builtin = _BUILTIN.match(message)
    return f"{place}: {kind}: {builtin[1]} fails" if builtin and kind == BUILTIN_ERROR else f"{place}: {kind}"


BUILTIN_ERROR: Final = "eval_builtin_error"


def of_answer(text: str) -> str:
    """Returns the text to record for an answer that is no policy decision, without its values and names."""
    return _QUOTED.sub("...", text)
