"""Tests the check of outputs against schemas: what it says, and that no schema holds up another caller."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from waypost.output_validation.messages import CheckReply, CheckRequest
from waypost.output_validation.validator import OutputValidator
from waypost.output_validation.worker_main import check

ROWS = {"type": "object", "properties": {"rows": {"type": "integer"}}, "required": ["rows"]}
SLOW = {"pattern": "^(a+)+$"}


@pytest.fixture
async def validator() -> AsyncIterator[OutputValidator]:
    async with OutputValidator(budget_seconds=0.3) as running:
        yield running


@pytest.mark.parametrize(
    ("schema", "output", "reply"),
    [
        (ROWS, {"rows": 3}, CheckReply()),
        (ROWS, {"rows": "x"}, CheckReply(pointer="/rows", reason="'x' is not of type 'integer'")),
        (ROWS, None, CheckReply(reason="None is not of type 'object'")),
        (
            {"items": ROWS},
            [{"rows": 1}, {}],
            CheckReply(pointer="/1", reason="'rows' is a required property"),
        ),
        ({"$ref": "#"}, 1, CheckReply(reason="its schema refers to itself without end")),
    ],
)
def test_an_output_is_checked(schema: dict[str, Any], output: Any, reply: CheckReply) -> None:
    """The reason names the place, since an output may have a thousand rows."""
    request = CheckRequest(
        schema=msgspec.json.encode(schema),
        output=msgspec.Raw(msgspec.msgpack.encode(output)),
        budget_seconds=9,
    )

    answer = check(msgspec.msgpack.encode(request), lambda _: None)

    assert msgspec.msgpack.decode(answer, type=CheckReply) == reply


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_reference_fetches_nothing(tmp_path: Path) -> None:
    """By default the library would read the address, with the rights of the cluster."""
    (tmp_path / "schema.json").write_text("{}")
    schema = {"$ref": (tmp_path / "schema.json").as_uri()}
    request = CheckRequest(schema=msgspec.json.encode(schema), output=msgspec.Raw(b"\x01"), budget_seconds=9)

    reply = msgspec.msgpack.decode(check(msgspec.msgpack.encode(request), lambda _: None), type=CheckReply)

    assert "Unresolvable" in reply.reason


async def test_a_pattern_that_takes_for_ever_ends_its_process_alone(validator: OutputValidator) -> None:
    """The kernel ends it, and the next output is checked as ever."""
    fault = await validator.fault(SLOW, "a" * 40 + "b", caller="one")

    assert fault == "cannot be checked: that takes more than 0.3 s of processor time"
    assert await validator.fault(ROWS, {"rows": 1}, caller="one") is None
    assert (
        await validator.fault(ROWS, {"rows": 1.5}, caller="two")
        == "does not fit its schema: /rows 1.5 is not of type 'integer'"
    )
