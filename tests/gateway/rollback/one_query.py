"""Takes the query for a release's evidence apart, and answers it as Prometheus would, for fakes of it."""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

NAMED: Final = re.compile(r'label_replace\((?P<query>.*), "number", "(?P<name>\w+)", "", ""\)')


def queries_in(query: str) -> dict[str, str]:
    """Returns the single queries of one for evidence, by the name of the number that each asks for."""
    found = [NAMED.fullmatch(part) for part in query.split("\nor ")]
    return {match["name"]: match["query"] for match in found if match is not None}


def vector(numbers: Mapping[str, Any], at: float) -> dict[str, Any]:
    """Returns Prometheus' answer with these numbers by name, of the time `at`."""
    result = [{"metric": {"number": name}, "value": [at, value]} for name, value in numbers.items()]
    return {"status": "success", "data": {"resultType": "vector", "result": result}}


def answer(query: str, value: Callable[[str], float], at: float) -> dict[str, Any]:
    """Answers a query for evidence, each part of it by `value`."""
    return vector({name: str(value(part)) for name, part in queries_in(query).items()}, at)
