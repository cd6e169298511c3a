"""Reads OPA's conformance cases, and public policies with their tests; neither is part of this project."""

import os
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

SHARED: Final = Path(os.environ.get("WAYPOST_SHARED", Path(__file__).parents[5] / "shared")) / "data"
CASES: Final = SHARED / "rego-compliance" / "rego-compliance-v1.tar.xz"
PUBLIC: Final = SHARED / "rego-public"
IDIOMS: Final = SHARED / "rego-idioms"
needs_shared = pytest.mark.skipif(not CASES.exists(), reason="needs ../shared/data (or WAYPOST_SHARED)")

_QUERY: Final = re.compile(r"(data(?:\.\w+)+) = ((?!input\b)[A-Za-z_]\w*)")
_ASKS: Final = "waypost_asks"


class OpaCase(msgspec.Struct, frozen=True, kw_only=True):
    """A conformance case of OPA: modules, data, input, and the value that is expected.

    `wanted` is empty where the value is to be undefined, and `fails` where the evaluation must fail.
    """

    note: str
    modules: tuple[tuple[str, str], ...]
    data: Any
    document: bytes
    wanted: tuple[Any, ...]
    fails: bool


ASKED: Final = f"data.{_ASKS}.result"


def opa_cases() -> Iterator[OpaCase]:
    """Yields the conformance cases that evaluate one rule and specify the input."""
    with tarfile.open(CASES) as archive:
        for member in archive:
            if not member.name.endswith(".json") or (file := archive.extractfile(member)) is None:
                continue
            for case in msgspec.json.decode(file.read()).get("cases", []):
                query = _QUERY.fullmatch(case["query"])
                given = "input_term" in case or "input" in case
                texts = case.get("modules") or []
                if query is None or (not given and any("input" in text for text in texts)):
                    continue
                modules = (*texts, f"package {_ASKS}\nresult := {query[1]}\n")
                results = case.get("want_result") or []
                yield OpaCase(
                    note=case["note"],
                    modules=tuple((f"{number}.rego", text) for number, text in enumerate(modules)),
                    data=case.get("data") or {},
                    document=case["input_term"].encode()
                    if "input_term" in case
                    else msgspec.json.encode(case.get("input", {})),
                    wanted=tuple(result[query[2]] for result in results[:1]),
                    fails="want_error" in case or "want_error_code" in case,
                )


def unordered(value: Any) -> Any:
    """Returns `value` with all lists sorted, since engines return sets as lists of any order."""
    if isinstance(value, dict):
        return {name: unordered(item) for name, item in value.items()}
    if isinstance(value, list):
        return sorted(msgspec.json.encode(unordered(item)) for item in value)
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value
