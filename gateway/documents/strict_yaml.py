"""YAML as a way to write JSON: bounded while it is read, and nothing in it that JSON could not hold.

What YAML 1.1 reads as something else than YAML 1.2 does (yes, 012, 12:30, 1_000, dates, merge keys) is refused, not guessed.
"""

import re
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

from gateway.core.errors import Malformed, TooLarge
from waypost.json_pointer import FieldError, pointer_to
from waypost.workflow.ijson import NUMBER, UNFAITHFUL, faithful, text_fault

TAGS: Final = "tag:yaml.org,2002:"
WORDS: Final[dict[str, bool | None]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
NUMBERS: Final = re.compile(
    r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|0o[0-7]+|0x[0-9a-fA-F]+"
)
"""What YAML 1.2 takes for a number."""

KINDS: Final = {
    "bool": "a boolean",
    "int": "a number",
    "float": "a number",
    "str": "a number",
    "timestamp": "a date",
}


class Unreadable:
    """Stands for a value about which a fault was already told."""


UNREADABLE: Final = Unreadable()


def read_yaml(text: str, *, maximum_nesting: int, maximum_expansion: int) -> tuple[Any, list[FieldError]]:
    """The value that `text` is, and what is wrong inside it; the value means nothing where something is.

    Aliases may add `maximum_expansion` characters in all. Raises `Malformed` (not YAML, with line and column) or `TooLarge`.
    """
    loader = yaml.CSafeLoader(text)
    try:
        return _Reader(loader, maximum_nesting, maximum_expansion).read()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = (
            "a tab: indent with spaces" if mark and _is_tab(text, mark) else error.problem or error.context
        )
        raise Malformed(f"not YAML: {problem}{place}") from error
    except yaml.YAMLError as error:
        raise Malformed(f"not YAML: {str(error).partition(chr(10))[0][:200]}") from error
    finally:
        loader.dispose()


def _is_tab(text: str, mark: yaml.Mark) -> bool:
    lines = text.splitlines()
    return mark.line < len(lines) and lines[mark.line][mark.column : mark.column + 1] == "\t"


@dataclass(kw_only=True, slots=True)
class _Built:
    """A value, how many characters it stands for, and how deep it is nested."""

    value: Any
    size: int
    height: int = 0


@dataclass(kw_only=True, slots=True)
class _Open:
    """A list or mapping that has not ended yet. `key` waits for its value."""

    built: _Built
    anchor: str | None
    key: str | None = None
    seen: set[str] = field(default_factory=set)

    @property
    def part(self) -> str | int | None:
        return len(self.built.value) if isinstance(self.built.value, list) else self.key


class _Reader:
    """Puts values together from the parser's events. It never recurses: how deep a document is nested costs no stack."""

    def __init__(self, loader: "yaml.CSafeLoader", maximum_nesting: int, maximum_expansion: int) -> None:
        self._loader, self._nesting, self._left = loader, maximum_nesting, maximum_expansion
        self._maximum_expansion = maximum_expansion
        self._open: list[_Open] = []
        self._anchors: dict[str, _Built] = {}
        self._faults: list[FieldError] = []
        self._root: Any = None

    def read(self) -> tuple[Any, list[FieldError]]:
        documents = 0
        while not isinstance(event := self._loader.get_event(), yaml.StreamEndEvent):
            match event:
                case yaml.DocumentStartEvent():
                    documents += 1
                    if documents > 1:
                        raise Malformed("not one YAML document but several")
                case yaml.ScalarEvent():
                    self._put(_Built(value=self._scalar(event), size=len(event.value) + 1), event.anchor)
                case yaml.AliasEvent():
                    self._put(self._aliased(event.anchor), None)
                case yaml.SequenceStartEvent() | yaml.MappingStartEvent():
                    self._begin(event)
                case yaml.SequenceEndEvent() | yaml.MappingEndEvent():
                    ended = self._open.pop()
                    self._put(ended.built, ended.anchor)
        if not documents:
            raise Malformed("the document is empty")
        return self._root, self._faults

    def _begin(self, event: yaml.SequenceStartEvent | yaml.MappingStartEvent) -> None:
        kind = "seq" if isinstance(event, yaml.SequenceStartEvent) else "map"
        if event.tag not in (None, "!", TAGS + kind):
            self._fault(f"the tag {event.tag} has no meaning in JSON")
        self._open.append(_Open(built=_Built(value=[] if kind == "seq" else {}, size=1), anchor=event.anchor))
        self._check_depth(0)

    def _put(self, built: _Built, anchor: str | None) -> None:
        if anchor is not None:
            self._anchors[anchor] = built
        if not self._open:
            self._root = built.value
            return
        into = self._open[-1]
        into.built.size += built.size
        into.built.height = max(into.built.height, built.height + isinstance(built.value, list | dict))
        container = into.built.value
        if isinstance(container, list):
            container.append(built.value)
        elif into.key is None:
            self._name(into, built.value)
        else:
            container[into.key] = built.value
            into.key = None

    def _name(self, into: _Open, name: Any) -> None:
        if isinstance(name, str):
            into.key = name
            if name in into.seen:
                self._fault("is there twice")
            into.seen.add(name)
            return
        if name is not UNREADABLE:
            self._fault("the name of a field must be text: put quotes around it")
        into.key = ""

    def _aliased(self, anchor: str | None) -> _Built:
        if anchor is None or anchor not in self._anchors:
            raise Malformed(f"not YAML: *{anchor} refers to nothing that ended before it")
        built = self._anchors[anchor]
        self._left -= built.size
        if self._left < 0:
            raise TooLarge(f"aliases add more than the {self._maximum_expansion} characters that are allowed")
        self._check_depth(built.height + isinstance(built.value, list | dict))
        return built

    def _check_depth(self, more: int) -> None:
        if len(self._open) + more > self._nesting:
            raise TooLarge(f"the document is nested more than {self._nesting} deep")

    def _scalar(self, event: yaml.ScalarEvent) -> Any:
        text: str = event.value
        if event.tag not in (None, "!", TAGS + "str"):
            return self._fault(f"the tag {event.tag} is not taken: write the value plainly")
        if event.tag is not None or not event.implicit[0]:
            fault = text_fault(text)
            return self._fault(fault) if fault else text
        if text in WORDS:
            return WORDS[text]
        read_as: str = self._loader.resolve(yaml.ScalarNode, text, (True, False))  # type: ignore[no-untyped-call] # untyped in its stubs
        number = NUMBER.fullmatch(text) is not None
        value = faithful(text)
        if number and value is None:
            return self._fault(f"{text:.40} {UNFAITHFUL}")
        if number and read_as != TAGS + "str":
            return value
        if text == "<<":
            return self._fault("merge keys (<<) are not YAML 1.2: write the fields out")
        if read_as != TAGS + "str" or NUMBERS.fullmatch(text):
            kind = KINDS.get(read_as.removeprefix(TAGS), "something else")
            hint = "write 1.0e+5 for 1e5" if number else "write it as JSON does"
            return self._fault(
                f"{text[:40]!r} is {kind} to some readers of YAML and text to others: put quotes around it, or {hint}"
            )
        return text

    def _fault(self, detail: str) -> Unreadable:
        self._faults.append(
            FieldError(pointer_to(part for holder in self._open if (part := holder.part) is not None), detail)
        )
        return UNREADABLE
