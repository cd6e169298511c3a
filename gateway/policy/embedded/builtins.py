"""The table of the builtins of OPA 1.22 that regorus has too, with the embedded engine's support for each.

`waypost policy builtins` shows it. It comes from a comparison of the engine with OPA in strict mode, on OPA's
own conformance cases and on generated arguments with odd strings, numbers, sets and types. A builtin with the
support `same` gives the value that OPA gives, or fails where OPA fails; such a failure refuses the action. A
builtin of OPA that the table lacks is absent from the embedded engine.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from msgspec import Struct


class Support(StrEnum):
    """The embedded engine's support for a Rego builtin: as in OPA, nearly so, refused, or never usable."""

    SAME = "same"
    NEARLY = "nearly"
    """The builtin is usable: it differs from OPA only as its note says."""
    REFUSED = "refused"
    """The builtin is not usable here: it differs from OPA as its note says."""
    NEVER = "never"
    """The builtin is not usable in any bundle, even on OPA: a decision must depend on its input alone."""


class Builtin(Struct, frozen=True, kw_only=True):
    """A Rego builtin with its support in the embedded engine, and a note on the differences."""

    support: Support
    note: str = ""


_SAME: Final = """
abs array.concat array.reverse array.slice base64.decode base64.encode base64url.encode
base64url.encode_no_pad ceil concat contains endswith floor format_int graph.reachable hex.decode hex.encode
indexof intersection is_array is_boolean is_null is_number is_object is_set is_string json.patch
json.unmarshal lower max min numbers.range numbers.range_step object.filter object.get object.keys
object.remove object.union object.union_n print regex.find_all_string_submatch_n regex.find_n
regex.match regex.replace replace round semver.compare sort
split startswith strings.any_prefix_match strings.any_suffix_match strings.count strings.reverse
time.clock time.date time.parse_duration_ns time.weekday trace trim trim_left trim_prefix trim_right
trim_space trim_suffix type_name union upper yaml.is_valid
"""
_NEARLY: Final = {
    "count": "of a string counts characters beyond U+FFFF twice",
    "json.is_valid": "false for numbers beyond a double",
    "product": "has the precision of a double: a last digit may differ",
    "sprintf": "words numbers such as 1e6, and wrong verbs, otherwise: texts for people only",
    "substring": "takes a fraction for an index, where OPA fails",
    "sum": "has the precision of a double: a last digit may differ",
    "to_number": "takes spaces around a number, where OPA fails; fails on `+1`, `01` and `.5`",
    "walk": "keys that are arrays are written with spaces where they become JSON text",
}
_REFUSED: Final = {
    "base64.is_valid": "refuses line breaks and loose padding, which OPA takes",
    "base64url.decode": "refuses loose padding, and reads broken UTF-8 otherwise",
    "glob.match": "reads `[^a]`, `?` before a letter that is not ASCII, and separators otherwise",
    "glob.quote_meta": "leaves `?`, brackets and braces as they are",
    "graph.reachable_paths": "leaves out what is reached from an empty name",
    "http.send": "gives nothing, so its negation would be true",
    "indexof_n": "finds an empty string, where OPA fails",
    "json.filter": "takes paths that begin with / for names, and drops what a path goes through",
    "json.marshal": "writes 1e6 and & otherwise",
    "json.marshal_with_options": "writes 1e6 and & otherwise",
    "json.match_schema": "lists no errors",
    "json.remove": "takes paths that begin with / for names, and removes what a path goes through",
    "json.verify_schema": "fails on a broken schema, where OPA gives false",
    "net.cidr_contains": "takes an IPv4 address inside of IPv6 for another",
    "net.cidr_expand": "takes as long as the network is large",
    "net.cidr_is_valid": "fails on what is no string, where OPA gives false",
    "object.subset": "panics on an empty array",
    "regex.is_valid": "knows other patterns",
    "regex.split": "gives empty strings around an empty match",
    "regex.template_match": "gives false where OPA fails",
    "semver.is_valid": "gives false for v1.2.3",
    "strings.replace_n": "replaces in another order",
    "time.add_date": "gives nothing for the end of a month",
    "time.diff": "counts an hour less or more across time zones",
    "time.format": "writes time zones and fractions otherwise",
    "time.parse_ns": "takes text behind the time",
    "time.parse_rfc3339_ns": "takes a space for the T, and a second 60",
    "units.parse": "takes `1h` for a hundred",
    "units.parse_bytes": "rounds up where OPA cuts off",
    "urlquery.decode": "cuts spaces, = and & off",
    "urlquery.decode_object": "cuts what is behind #",
    "urlquery.encode": "leaves * as it is",
    "urlquery.encode_object": "leaves * as it is",
    "uuid.parse": "names another variant for the empty UUID",
    "yaml.marshal": "quotes otherwise",
    "yaml.unmarshal": "reads 01 and 1_000 as text",
} | dict.fromkeys(
    (f"bits.{name}" for name in ("and", "lsh", "negate", "or", "rsh", "xor")),
    "gives nothing for integers beyond 64 bits",
)
_NEVER: Final = {
    "http.send": "what a decision needs comes with the question: input or data",
    "io.jwt.decode_verify": "it looks at the clock; the gateway has verified the caller: input.principal",
    "net.lookup_ip_addr": "it asks the network",
    "opa.runtime": "it shows the environment of the process",
    "rand.intn": "the same question must have the same answer",
    "time.now_ns": "write input.at, in seconds, or input.at * 1000000000",
    "uuid.rfc4122": "the same question must have the same answer",
}

BUILTINS: Final[Mapping[str, Builtin]] = {
    **{name: Builtin(support=Support.SAME) for name in _SAME.split()},
    **{name: Builtin(support=Support.NEARLY, note=note) for name, note in _NEARLY.items()},
    **{name: Builtin(support=Support.REFUSED, note=note) for name, note in _REFUSED.items()},
    **{name: Builtin(support=Support.NEVER, note=note) for name, note in _NEVER.items()},
}
"""The builtins of OPA that the embedded engine has or that no bundle may call, by name."""

UNBOUNDED: Final = frozenset({"numbers.range", "numbers.range_step"})
"""The builtins whose result may be much larger than their arguments."""
