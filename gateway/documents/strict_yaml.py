"""A strict YAML reader: accepts what JSON can express, and bounds nesting and alias expansion.

Plain scalars that YAML 1.1 and 1.2 read as different values (yes, 012, 12:30, 1_000, dates, merge keys) are
refused, not guessed: libyaml, which parses here, follows 1.1, and other readers of the same file follow 1.2.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NoReturn

import yaml

from gateway.core.errors import Malformed, TooLarge
from gateway.documents.yaml_plain_scalars import PLAIN_WORDS, TAGS, plain_scalar
from waypost.json_pointer import MAXIMUM_ERRORS, FieldError, pointer_to
from waypost.workflow.ijson_limits import text_fault

TEXT_TAGS: Final = frozenset({None, "!", TAGS + "str"})

TAG_DIRECTIVE: Final = re.compile(r"^%TAG|[\n\r\x85\u2028\u2029]%TAG")
"""Matches the start of a line with a %TAG directive, which declares an abbreviation of tags.

No abbreviation has a meaning here.
"""

MAXIMUM_TAG_DIRECTIVES: Final = 100
FIELD_NAMES: Final = frozenset({"on"})
"""The plain scalars that are taken for names of fields, since documents have such fields (`retry.on`).

YAML 1.1 reads them as booleans, which cannot be names in JSON: only one meaning is left.
"""


class InvalidValue:
    """The type of `INVALID`, which replaces a YAML value for which an error was reported."""


INVALID: Final = InvalidValue()


def read_yaml(
    text: str, *, maximum_nesting: int, maximum_expansion: int, maximum_values: int
) -> tuple[Any, list[FieldError]]:
    """Decodes the YAML `text`; returns the value and the errors in it, up to `MAXIMUM_ERRORS`.

    The value must not be used if there are errors. The text may have `maximum_values` names and values, and
    aliases may add `maximum_expansion` characters in all. Raises `Malformed` (not YAML, with line and column)
    or `TooLarge` (too many values, nested or expanded too far).
    """
    # libyaml 0.2.5 compares each %TAG with all before it: 60,000 of them take it 12 seconds.
    if len(TAG_DIRECTIVE.findall(text)) > MAXIMUM_TAG_DIRECTIVES:
        raise TooLarge(f"the document has more than {MAXIMUM_TAG_DIRECTIVES} lines that begin with %TAG")
    loader = yaml.CSafeLoader(text)
    try:
        return _Composer(loader, maximum_nesting, maximum_expansion, maximum_values).compose()
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


@dataclass(slots=True)
class _Container:
    """A YAML list or mapping that is being read. `key` is the name whose value comes next."""

    value: Any
    anchor: str | None = None
    key: "str | InvalidValue | None" = None
    size: int = 1
    """The number of characters in the container, with aliases expanded."""
    height: int = 1
    """The depth of nesting in the container, with itself counted; 0 for a scalar."""

    @property
    def pointer_part(self) -> str | int | None:
        """The next value's part of its JSON pointer: an index, a name, or None before a name."""
        if isinstance(self.value, list):
            return len(self.value)
        return "" if isinstance(self.key, InvalidValue) else self.key


class _Composer:
    """Builds the decoded value of a YAML document from libyaml's parse events, without recursion.

    Containers that are still open stand in a list, so that a setting bounds the nesting, not Python's stack.
    PyYAML's own constructor recurses and expands aliases without a bound ("billion laughs").
    """

    def __init__(self, loader: "yaml.CSafeLoader", nesting: int, expansion: int, values: int) -> None:
        self._loader, self._maximum_nesting, self._expansion_left = loader, nesting, expansion
        self._maximum_expansion, self._maximum_values = expansion, values
        self._open: list[_Container] = []
        self._anchors: dict[str, _Container] = {}
        self._errors: list[FieldError] = []
        self._plain: dict[str, Any] = dict(PLAIN_WORDS)
        """A cache of the values of plain scalars, most of which occur often."""
        self._root: Any = None
        self._documents = 0

    def compose(self) -> tuple[Any, list[FieldError]]:
        """Reads all parse events; returns the decoded value and the errors in it.

        Raises `Malformed`, `TooLarge` or PyYAML's `YAMLError`.
        """
        left, next_event = self._maximum_values, self._loader.get_event
        # A million characters may be half a million events: what happens for each is written for speed.
        steps: Mapping[Any, tuple[int, Callable[[Any], None]]] = {
            yaml.ScalarEvent: (1, self._add_scalar),
            yaml.AliasEvent: (1, self._add_alias),
            yaml.SequenceStartEvent: (1, self._open_container),
            yaml.MappingStartEvent: (1, self._open_container),
            yaml.SequenceEndEvent: (0, self._close_container),
            yaml.MappingEndEvent: (0, self._close_container),
            yaml.DocumentStartEvent: (0, self._start_document),
            yaml.DocumentEndEvent: (0, lambda _: None),
            yaml.StreamStartEvent: (0, lambda _: None),
        }
        while (kind := type(event := next_event())) is not yaml.StreamEndEvent:
            values, step = steps[kind]
            left -= values
            if left < 0:
                raise TooLarge(
                    f"the document has more than {self._maximum_values} names and values: "
                    "write it as JSON, which may have more"
                )
            step(event)
            if self._errors and len(self._errors) >= MAXIMUM_ERRORS:
                break
        if not self._documents:
            raise Malformed("the document is empty")
        return self._root, self._errors

    def _start_document(self, _: yaml.DocumentStartEvent) -> None:
        self._documents += 1
        if self._documents > 1:
            raise Malformed("not one YAML document but several")

    def _add_scalar(self, event: yaml.ScalarEvent) -> None:
        text: str = event.value
        if event.implicit[0] and event.tag is None and text in self._plain:
            value = self._plain[text]
        else:
            value = self._scalar(event)
        if event.anchor is not None:
            self._anchors[event.anchor] = _Container(value, size=len(text) + 1, height=0)
        self._add(value, len(text) + 1)

    def _open_container(self, event: yaml.SequenceStartEvent | yaml.MappingStartEvent) -> None:
        is_list = type(event) is yaml.SequenceStartEvent
        if event.tag is not None and event.tag not in ("!", TAGS + ("seq" if is_list else "map")):
            self._error(f"the tag {event.tag:.200} has no meaning in JSON")
        self._open.append(_Container([] if is_list else {}, event.anchor))
        if len(self._open) > self._maximum_nesting:
            self._refuse_depth()

    def _close_container(self, _: yaml.SequenceEndEvent | yaml.MappingEndEvent) -> None:
        ended = self._open.pop()
        # Only now, so that no alias can refer to the container it stands in.
        if ended.anchor is not None:
            self._anchors[ended.anchor] = ended
        if self._open and self._open[-1].height <= ended.height:
            self._open[-1].height = ended.height + 1
        self._add(ended.value, ended.size)

    def _add(self, value: Any, size: int) -> None:
        """Adds `value`, as an item, a name or a field's value, to the innermost open YAML list or mapping.

        Where none is open, it is the document's value. `size` is its number of characters.
        """
        if not self._open:
            self._root = value
            return
        into = self._open[-1]
        into.size += size
        container = into.value
        if type(container) is list:
            container.append(value)
        elif into.key is not None:
            container[into.key] = value
            into.key = None
        elif isinstance(value, str):
            into.key = value  # first, so that the error below points to the name
            if value in container:
                self._error("is there twice")
        else:
            if value is not INVALID:
                self._error("the name of a field must be text: put quotes around it")
            into.key = INVALID  # reading goes on, to report what else is wrong; the value is never used

    def _add_alias(self, event: yaml.AliasEvent) -> None:
        anchor = event.anchor
        if anchor is None or anchor not in self._anchors:
            raise Malformed(f"not YAML: *{anchor} refers to nothing that ended before it")
        # The value is shared, not copied: it costs nothing here, but everything that encodes it later writes
        # it out again.
        aliased = self._anchors[anchor]
        self._expansion_left -= aliased.size
        if self._expansion_left < 0:
            raise TooLarge(f"aliases add more than the {self._maximum_expansion} characters that are allowed")
        if len(self._open) + aliased.height > self._maximum_nesting:
            self._refuse_depth()
        if self._open and self._open[-1].height <= aliased.height:
            self._open[-1].height = aliased.height + 1
        self._add(aliased.value, aliased.size)

    def _refuse_depth(self) -> NoReturn:
        raise TooLarge(f"the document is nested more than {self._maximum_nesting} deep")

    def _scalar(self, event: yaml.ScalarEvent) -> Any:
        """Returns the value of a scalar (text, number, boolean or null) that all YAML versions read alike.

        For any other scalar an error is reported, and the value is `INVALID`.
        """
        text: str = event.value
        if event.tag not in TEXT_TAGS:
            return self._error(f"the tag {event.tag:.200} is not taken: write the value plainly")
        # Quoted, in a block or with the tag !!str, it is text to every version of YAML. Only here escapes are
        # possible.
        if event.tag is not None or not event.implicit[0]:
            fault = text_fault(text)
            return self._error(fault) if fault else text
        value, fault = plain_scalar(text)
        if fault:
            return text if text in FIELD_NAMES and self._at_name else self._error(fault)
        self._plain[text] = value
        return value

    @property
    def _at_name(self) -> bool:
        """Returns whether what is read now is the name of a field."""
        return bool(self._open) and type(self._open[-1].value) is dict and self._open[-1].key is None

    def _error(self, detail: str) -> InvalidValue:
        """Records the error `detail` for the value at the current position; returns `INVALID`."""
        self._errors.append(
            FieldError(
                pointer_to(part for holder in self._open if (part := holder.pointer_part) is not None),
                detail,
            )
        )
        return INVALID
