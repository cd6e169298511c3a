"""Translates regular expressions of OPA (Go's RE2) into those of regorus (Rust's regex), or refuses them.

`\\d`, `\\w`, `\\s` and `\\b` are ASCII in Go and Unicode in Rust; a brace without a number is text in Go and
an error in Rust; `&&`, `--` and `~~` in brackets, `\\<`, `\\u`, `(?x)` mean something in Rust alone.
"""

import re
from functools import lru_cache
from typing import Final

REPEATS_MAXIMUM: Final = 1000
_INSIDE: Final = {"d": "0-9", "w": "0-9A-Za-z_", "s": r"\t\n\f\r "}
"""The characters of each Perl class (digits, word, space), to be written in brackets."""
_OUTSIDE: Final = {name: f"[{members}]" for name, members in _INSIDE.items()} | {
    **{name.upper(): f"[^{members}]" for name, members in _INSIDE.items()},
    "b": r"(?-u:\b)",
}
_ESCAPE: Final = re.compile(
    r"\\(?:[pP](?:[LMNPSZC]|\{\^?\w+\})|x(?:[0-9A-Fa-f]{2}|\{[0-9A-Fa-f]{1,6}\})|[^PpxA-Za-z0-9]|[A-Za-z])"
)
_REPEAT: Final = re.compile(r"\{(\d+)(?:,(\d*))?\}|[*+?]")
_GROUP: Final = re.compile(r"\(\?(?::|[ims]+(?:-[ims]+)?[:)]|P<\w+>)")
_POSIX: Final = re.compile(r"\[:\^?[a-z]+:\]")


class PatternError(ValueError):
    """Raised for a regular expression that OPA may read differently from regorus."""


@lru_cache(maxsize=1024)
def translate_pattern(pattern: str) -> str:
    """Translates OPA's regular expression into one that matches the same in regorus. Raises
    `PatternError`."""
    written, at, repeatable = [], 0, False
    while at < len(pattern):
        if repeat := _REPEAT.match(pattern, at):
            if not repeatable or any(int(n) > REPEATS_MAXIMUM for n in repeat.groups() if n):
                raise PatternError(f"it repeats what cannot be repeated, at {at}")
            lazy = pattern[repeat.end() : repeat.end() + 1] == "?"
            text, end, repeatable = repeat[0] + "?" * lazy, repeat.end() + lazy, False
        elif pattern[at] == "[":
            text, end = _brackets(pattern, at)
            repeatable = True
        elif pattern[at] == "\\":
            text, end = _escape(pattern, at, inside=False)
            repeatable = text not in (r"\A", r"\z")
        elif pattern.startswith("(?", at):
            if not (group := _GROUP.match(pattern, at)):
                raise PatternError(f"this group is not known to both, at {at}")
            text, end, repeatable = group[0], group.end(), False
        else:
            character = pattern[at]
            text, end = f"\\{character}" if character in "{}]" else character, at + 1
            repeatable = character not in "(|^$"
        written.append(text)
        at = end
    return "".join(written)


def _brackets(pattern: str, start: int) -> tuple[str, int]:
    """Translates the bracketed class that begins at `start`; returns the translation and the class's end."""
    at = start + 1 + (pattern[start + 1 : start + 2] == "^")
    written, first = [pattern[start:at]], at
    while at < len(pattern):
        if pattern[at] == "]" and at > first:
            return "".join(written) + "]", at + 1
        if pattern[at] == "\\":
            text, at = _escape(pattern, at, inside=True)
            written.append(text)
        elif posix := _POSIX.match(pattern, at):
            written.append(posix[0])
            at = posix.end()
        elif pattern[at] in "[]" or pattern[at : at + 2] in ("&&", "--", "~~"):
            raise PatternError(f"these brackets may be read otherwise, at {at}")
        else:
            written.append(pattern[at])
            at += 1
    raise PatternError("its brackets do not end")


def _escape(pattern: str, at: int, *, inside: bool) -> tuple[str, int]:
    escape = _ESCAPE.match(pattern, at)
    if escape is None:
        raise PatternError(f"this escape is not known to both, at {at}")
    text, name = escape[0], escape[0][1:]
    known = _INSIDE if inside else _OUTSIDE
    if name in known:
        text = known[name]
    elif name in ("<", ">"):
        text = name
    elif len(name) == 1 and not _same_escape(name, inside=inside):
        raise PatternError(f"{text} may be read otherwise, at {at}")
    return text, escape.end()


def _same_escape(name: str, *, inside: bool) -> bool:
    """Whether a backslash before the character `name` means the same in both syntaxes."""
    return name.isascii() and (not name.isalnum() or name in "aftnrv" or (name in "Az" and not inside))
