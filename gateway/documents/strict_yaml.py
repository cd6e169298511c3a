"""Reads the part of YAML that JSON can express; nesting and alias expansion are bounded while reading.

Plain scalars that YAML 1.1 and 1.2 read as different values (yes, 012, 12:30, 1_000, dates, merge keys) are
refused, not guessed: libyaml, which parses here, follows 1.1, and other readers of the same file follow 1.2.
"""

import re
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

from gateway.core.errors import Malformed, TooLarge
from waypost.json_pointer import FieldError, pointer_to
from waypost.workflow.ijson_limits import NUMBER, UNFAITHFUL, faithful, text_fault

TAGS: Final = "tag:yaml.org,2002:"
PLAIN_WORDS: Final[dict[str, bool | None]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
YAML_NUMBER: Final = re.compile(
    r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|0o[0-7]+|0x[0-9a-fA-F]+"
)
"""Matches a plain scalar that the core schema of YAML 1.2 resolves to a number."""

YAML_1_1_KINDS: Final = {
    "bool": "a boolean",
    "int": "a number",
    "float": "a number",
    "str": "a number",
    "timestamp": "a date",
}


class InvalidValue:
    """Takes the place of a value for which an error was reported."""


INVALID: Final = InvalidValue()


def read_yaml(text: str, *, maximum_nesting: int, maximum_expansion: int) -> tuple[Any, list[FieldError]]:
    """Decodes `text` into a value and the errors in it. With errors the value must not be used.

    Aliases may add `maximum_expansion` characters in all. Raises `Malformed` (not YAML, with line and column)
    or `TooLarge` (nested or expanded too far).
    """
    loader = yaml.CSafeLoader(text)
    try:
        return _Composer(loader, maximum_nesting, maximum_expansion).compose()
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
class _Composed:
    """A value with its extent.

    `size`: its characters, aliases expanded; `height`: how deep containers are nested in it.
    """

    value: Any
    size: int
    height: int = 0


@dataclass(kw_only=True, slots=True)
class _OpenContainer:
    """A list or mapping whose end event has not come. `key` is the name that waits for its value."""

    composed: _Composed
    anchor: str | None
    key: str | None = None
    names: set[str] = field(default_factory=set)

    @property
    def pointer_part(self) -> str | int | None:
        """The next value's part of the JSON pointer: an index, a name, or None while a name is awaited."""
        return len(self.composed.value) if isinstance(self.composed.value, list) else self.key


class _Composer:
    """Builds a value from libyaml's parse events.

    Does not recurse: containers that are open stand in a list, so that a setting bounds the nesting, not
    Python's stack. PyYAML's own constructor recurses and expands aliases without a bound ("billion laughs").
    """

    def __init__(self, loader: "yaml.CSafeLoader", maximum_nesting: int, maximum_expansion: int) -> None:
        self._loader, self._maximum_nesting, self._expansion_left = loader, maximum_nesting, maximum_expansion
        self._maximum_expansion = maximum_expansion
        self._open_containers: list[_OpenContainer] = []
        self._anchors: dict[str, _Composed] = {}
        self._errors: list[FieldError] = []
        self._root: Any = None

    def compose(self) -> tuple[Any, list[FieldError]]:
        """Reads all events and returns the value with the errors in it.

        Raises `Malformed`, `TooLarge` or PyYAML's `YAMLError`.
        """
        documents = 0
        while not isinstance(event := self._loader.get_event(), yaml.StreamEndEvent):
            match event:
                case yaml.DocumentStartEvent():
                    documents += 1
                    if documents > 1:
                        raise Malformed("not one YAML document but several")
                case yaml.ScalarEvent():
                    self._add(_Composed(value=self._scalar(event), size=len(event.value) + 1), event.anchor)
                case yaml.AliasEvent():
                    self._add(self._resolve_alias(event.anchor), None)
                case yaml.SequenceStartEvent() | yaml.MappingStartEvent():
                    self._open_container(event)
                case yaml.SequenceEndEvent() | yaml.MappingEndEvent():
                    ended = self._open_containers.pop()
                    self._add(ended.composed, ended.anchor)
        if not documents:
            raise Malformed("the document is empty")
        return self._root, self._errors

    def _open_container(self, event: yaml.SequenceStartEvent | yaml.MappingStartEvent) -> None:
        kind = "seq" if isinstance(event, yaml.SequenceStartEvent) else "map"
        if event.tag not in (None, "!", TAGS + kind):
            self._error(f"the tag {event.tag} has no meaning in JSON")
        self._open_containers.append(
            _OpenContainer(composed=_Composed(value=[] if kind == "seq" else {}, size=1), anchor=event.anchor)
        )
        self._check_depth(0)

    def _add(self, composed: _Composed, anchor: str | None) -> None:
        # A container gets here when it ends, so that no alias can refer to the container it stands in.
        if anchor is not None:
            self._anchors[anchor] = composed
        if not self._open_containers:
            self._root = composed.value
            return
        into = self._open_containers[-1]
        into.composed.size += composed.size
        into.composed.height = max(
            into.composed.height, composed.height + isinstance(composed.value, list | dict)
        )
        container = into.composed.value
        if isinstance(container, list):
            container.append(composed.value)
        elif into.key is None:
            self._add_name(into, composed.value)
        else:
            container[into.key] = composed.value
            into.key = None

    def _add_name(self, into: _OpenContainer, name: Any) -> None:
        if isinstance(name, str):
            into.key = name  # first, so that the error below points to the name
            if name in into.names:
                self._error("is there twice")
            into.names.add(name)
            return
        if name is not INVALID:
            self._error("the name of a field must be text: put quotes around it")
        into.key = ""  # reading goes on, to report what else is wrong; the value is never used

    def _resolve_alias(self, anchor: str | None) -> _Composed:
        if anchor is None or anchor not in self._anchors:
            raise Malformed(f"not YAML: *{anchor} refers to nothing that ended before it")
        # The value is shared, not copied: it costs nothing here, but everything that encodes it later writes
        # it out again.
        composed = self._anchors[anchor]
        self._expansion_left -= composed.size
        if self._expansion_left < 0:
            raise TooLarge(f"aliases add more than the {self._maximum_expansion} characters that are allowed")
        self._check_depth(composed.height + isinstance(composed.value, list | dict))
        return composed

    def _check_depth(self, more: int) -> None:
        if len(self._open_containers) + more > self._maximum_nesting:
            raise TooLarge(f"the document is nested more than {self._maximum_nesting} deep")

    def _scalar(self, event: yaml.ScalarEvent) -> Any:
        """The value of a scalar (text, number, boolean or null) that all versions of YAML read alike.

        For any other scalar an error is reported, and the value is `INVALID`.
        """
        text: str = event.value
        if event.tag not in (None, "!", TAGS + "str"):
            return self._error(f"the tag {event.tag} is not taken: write the value plainly")
        # Quoted, in a block or with the tag !!str, it is text to every version of YAML. Only here escapes are
        # possible.
        if event.tag is not None or not event.implicit[0]:
            fault = text_fault(text)
            return self._error(fault) if fault else text
        if text in PLAIN_WORDS:
            return PLAIN_WORDS[text]
        # What YAML 1.1 takes the plain scalar for, compared with what JSON (and so YAML 1.2) takes it for.
        # Untyped in its stubs.
        read_as: str = self._loader.resolve(  # type: ignore[no-untyped-call]
            yaml.ScalarNode, text, (True, False)
        )
        number = NUMBER.fullmatch(text) is not None
        value = faithful(text)
        if number and value is None:
            return self._error(f"{text:.40} {UNFAITHFUL}")
        if number and read_as != TAGS + "str":
            return value  # a number to both
        # YAML 1.1 readers insert the fields of another mapping here, YAML 1.2 readers see a field named "<<".
        if text == "<<":
            return self._error("merge keys (<<) are not YAML 1.2: write the fields out")
        # A value to one version and text to the other: 1e5 is text in 1.1, 012 is octal in 1.1 and decimal in
        # 1.2.
        if read_as != TAGS + "str" or YAML_NUMBER.fullmatch(text):
            kind = YAML_1_1_KINDS.get(read_as.removeprefix(TAGS), "something else")
            hint = "write 1.0e+5 for 1e5" if number else "write it as JSON does"
            return self._error(
                f"{text[:40]!r} is {kind} to some readers of YAML and text to others: "
                f"put quotes around it, or {hint}"
            )
        return text

    def _error(self, detail: str) -> InvalidValue:
        """Reports `detail` at the place that is being read; returns `INVALID`."""
        self._errors.append(
            FieldError(
                pointer_to(
                    part for holder in self._open_containers if (part := holder.pointer_part) is not None
                ),
                detail,
            )
        )
        return INVALID
