"""Tests the status reports of an OPA about its bundles."""

import msgspec
import pytest

from gateway.policy.opa.bundle_status import TROUBLE_MAXIMUM, StatusError, trouble_of


def report(**bundle: object) -> bytes:
    return msgspec.json.encode({"labels": {"id": "x"}, "bundles": {"policy": bundle}, "plugins": {}})


def test_a_bundle_that_was_taken_is_no_trouble() -> None:
    """Nor is one that is not there yet."""
    assert trouble_of(report(name="policy", active_revision="r1")) == ""
    assert trouble_of(b'{"labels": {}}') == trouble_of(b'{"bundles": null}') == ""


def test_why_a_bundle_is_not_taken_has_file_and_line() -> None:
    """As OPA 1.22 reports it; other errors have a sentence alone. No terminal obeys any of it."""
    location = {"file": "x.rego", "row": 4, "col": 1}
    errors = [{"code": "rego_parse_error", "message": "unexpected eof", "location": location}]
    assert trouble_of(report(code="bundle_error", errors=errors)) == "x.rego:4: unexpected eof"
    assert trouble_of(report(code="bundle_error", message="no\x1b[31m")) == "no [31m"
    assert trouble_of(report(code="bundle_error")) == "bundle_error"
    assert len(trouble_of(report(code="e", message="x" * 9_999))) == TROUBLE_MAXIMUM


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff", b'{"bundles": 1}', b"[" * 100_000])
def test_what_is_no_report(body: bytes) -> None:
    """The port is inside, and still."""
    with pytest.raises(StatusError):
        trouble_of(body)
