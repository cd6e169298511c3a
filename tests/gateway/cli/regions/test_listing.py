"""Tests the table of regions."""

import pytest
from pytest_httpserver import HTTPServer

from gateway.cli.errors import Exit
from gateway.cli.regions.listing import regions


def test_a_cordon_is_shown_with_whoever_has_set_it(
    httpserver: HTTPServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the column of the reason, beside that of the condition."""
    state = {"name": "b", "condition": "Healthy", "reason": "", "since": 0, "score": 1.0, "inflight": 0}
    state |= {"peak_ewma_seconds": 0.1, "free_slots": 8, "cordoned": True}
    found = [
        state | {"cordoned_by": "", "cordoned_by_routing": 4},
        state | {"cordoned_by": "ada", "cordoned_by_routing": 4, "reason": "slow start"},
        state | {"cordoned_by": "", "cordoned_by_routing": None},
        state | {"cordoned": False, "cordoned_by": "", "cordoned_by_routing": None},
    ]
    httpserver.expect_request("/v1/regions").respond_with_json({"items": found, "cut_off": False})
    assert regions(url=httpserver.url_for(""), token="t") == Exit.DONE
    head, *rows = capsys.readouterr().out.splitlines()
    assert [row[head.index("REASON") :].strip() for row in rows] == [
        "cordoned by routing 4",
        "slow start; cordoned by ada and by routing 4",
        "cordoned by an operator",
        "",
    ]
