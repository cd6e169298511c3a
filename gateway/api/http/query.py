"""A strict parser of a request's query string: refuses unknown, repeated and misspelt parameters."""

from collections.abc import Mapping, Sequence
from urllib.parse import parse_qsl

from msgspec import Struct

from gateway.core.errors import Malformed
from waypost.workflow.stages import STAGE_SHARDS, shard_index

PARAMETERS_MAXIMUM = 50


class Query(Struct, frozen=True):
    """The parsed query string of a request: the values of each parameter, by parameter name.

    Every method but `values` raises `Malformed` where its parameter is given twice.
    """

    parameters: Mapping[str, Sequence[str]] = {}

    def values(self, name: str) -> Sequence[str]:
        """Returns all values of a query parameter that may be repeated."""
        return self.parameters.get(name, ())

    def value(self, name: str) -> str | None:
        """Returns the value of a query parameter; None if it is absent."""
        values = self.values(name)
        if len(values) > 1:
            raise Malformed(f"the query parameter {name} is given {len(values)} times")
        return values[0] if values else None

    def number(self, name: str, *, default: int, minimum: int, maximum: int) -> int:
        """Returns a query parameter's value as a whole number; `default` if the parameter is absent.

        Raises `Malformed` where the value is no whole number from `minimum` to `maximum`.
        """
        text = self.value(name)
        if text is None:
            return default
        # under 19 digits, so that int() stays cheap whatever is sent
        if not (text.isascii() and text.isdigit() and len(text) < 19 and minimum <= int(text) <= maximum):
            raise Malformed(f"the query parameter {name} is a number from {minimum} to {maximum}")
        return int(text)

    def shard(self, count: int) -> int | None:
        """Returns the index of the shard that the query names, of `count` main shards; None if it names none.

        Raises `Malformed` where the run can have no such shard.
        """
        if (text := self.value("shard")) is None:
            return None
        index = shard_index(text)
        if index is None or (index >= count and index not in STAGE_SHARDS):
            stages = " or ".join(STAGE_SHARDS.values())
            raise Malformed(f"the query parameter shard is a number from 0 to {count - 1}, or {stages}")
        return index

    def flag(self, name: str) -> bool:
        """Returns whether a query parameter is `true`; False if it is `false` or absent.

        Raises `Malformed` for any other value.
        """
        text = self.value(name)
        if text not in (None, "true", "false"):
            raise Malformed(f"the query parameter {name} is true or false")
        return text == "true"


def parse_query(query: bytes, known: frozenset[str]) -> Query:
    """Parses the query string of a request whose operation accepts the parameters `known`.

    Raises `Malformed` for any other parameter, and for text that is no query string.
    """
    if not query:
        return Query()
    found: dict[str, list[str]] = {}
    try:
        pairs = parse_qsl(
            query.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=True,
            errors="strict",
            max_num_fields=PARAMETERS_MAXIMUM,
        )
    except (ValueError, UnicodeError) as error:
        raise Malformed("the query is not what a query looks like") from error
    for name, value in pairs:
        # Not ignored: a misspelt filter would widen the answer, a misspelt dryRun would be a submission.
        if name not in known:
            raise Malformed(
                f"there is no query parameter {name[:50]!r} here"
                + (f"; there are {', '.join(sorted(known))}" if known else "")
            )
        found.setdefault(name, []).append(value)
    return Query(found)
