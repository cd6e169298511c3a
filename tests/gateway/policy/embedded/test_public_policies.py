"""Tests that the embedded engine accepts public policies and common Rego idioms unchanged."""

import subprocess
from pathlib import Path

import msgspec
import pytest

from gateway.policy.bundle import Bundle
from gateway.policy.embedded.gate import check_rules, nondeterministic_calls
from gateway.policy.embedded.interpreter import parse_modules
from gateway.policy.embedded.rego_tests import run_rego_tests
from gateway.policy.source import BundleError, Diagnostic, PolicySource
from tests.gateway.policy.embedded.opa_cases import IDIOMS, PUBLIC, needs_shared
from tests.opa_fixture import OPA, needs_opa

TAKEN = 59
"""The number of 62 public policies that are accepted; two use network, names or environment.

One more has functions without value and body, `f("a", _)`.
"""
NOT_PURE = "depends on its input alone"
NOT_STRICT = {"data.k8spspprocmount.test_input_container_proc_mount_not_allowed_null_param"}
"""The tests that pass in `opa test` but not in strict mode, where a failing builtin is an error."""


def bundle_in(folder: Path) -> Bundle:
    texts = [(path.name, path.read_text()) for path in sorted(folder.glob("*.rego"))]
    return Bundle(
        source=PolicySource(
            modules=tuple(one for one in texts if not one[0].endswith("_test.rego")),
            data="{}",
            entry_points=(),
        ),
        tests=tuple(one for one in texts if one[0].endswith("_test.rego")),
        schemas={},
        revision="",
    )


def problems(modules: tuple[tuple[str, str], ...]) -> list[Diagnostic]:
    try:
        parsed = parse_modules(modules)
    except BundleError as error:
        return list(error.diagnostics)
    return [*nondeterministic_calls(parsed), *check_rules(parsed)]


@needs_shared
def test_public_policies_pass_the_gate() -> None:
    """Nobody writes rules for one engine: what authors publish for OPA is to be taken as it is."""
    found = {folder.name: problems(bundle_in(folder).source.modules) for folder in PUBLIC.iterdir()}
    refused = {name: found for name, found in found.items() if found}
    assert len(found) - len(refused) >= TAKEN, refused
    reasons = [first.detail for first, *_ in refused.values() if NOT_PURE not in first.detail]
    assert [one for one in reasons if "rule must have a body or assignment" not in one] == []


@needs_shared
def test_idioms_pass_the_gate_or_are_refused_for_a_builtin() -> None:
    """One clear message each: what is refused, and what to do."""
    refused = {
        path.name: {one.detail for one in found}
        for path in sorted(IDIOMS.glob("*.rego"))
        if (found := problems(((path.name, path.read_text()),)))
    }
    assert {name: len(details) for name, details in refused.items()} == {
        "09-else-units.rego": 1,
        "10-business-hours.rego": 1,
    }
    assert [detail[: detail.index(" is ")] for details in refused.values() for detail in details] == [
        "units.parse_bytes",
        "time.now_ns",
    ]


@needs_opa
@needs_shared
@pytest.mark.parametrize(
    "folder",
    sorted(folder for folder in PUBLIC.iterdir() if list(folder.glob("*_test.rego")))
    if PUBLIC.exists()
    else [],
    ids=lambda folder: folder.name.rpartition("__")[2],
)
def test_their_own_tests_answer_as_in_opa(folder: Path) -> None:
    """Test by test: what passes in one passes in the other, what fails fails."""
    printed = subprocess.run(
        [str(OPA), "test", "--format", "json", folder], capture_output=True, check=False
    ).stdout
    if not printed.startswith(b"["):
        pytest.skip("its tests need functions that neither has")
    wanted = {
        f"{test['package']}.{test['name']}" for test in msgspec.json.decode(printed) if test.get("fail")
    }
    bundle = bundle_in(folder)
    if any(NOT_PURE not in one.detail for one in problems(bundle.source.modules)):
        pytest.skip("the embedded engine refuses it, which the number of those that pass allows for")
    report = run_rego_tests(bundle)
    failed = {one.detail.partition(": ")[0] for one in report.failures}
    assert report.tests == len(msgspec.json.decode(printed))
    assert failed - {name.rpartition(".")[2] for name in NOT_STRICT} == {
        name.rpartition(".")[2] for name in wanted
    }
