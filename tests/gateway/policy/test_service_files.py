"""Tests that a bundle has the service files of its folder as `data.services`, as OPA loads them."""

import json
import shutil
from pathlib import Path

import pytest

from gateway.cli.policy import checks
from gateway.policy.bundle import SHIPPED_POLICIES, bundle_of, read_bundle
from gateway.policy.opa.bundle_archive import pack_bundle, unpack
from gateway.policy.source import BundleError
from tests.gateway.mesh.service_files import shipped as shipped_services
from tests.opa_fixture import needs_opa


@pytest.fixture
def policies(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SHIPPED_POLICIES, tmp_path / "policies"))


def refusal(policies: Path) -> str:
    with pytest.raises(BundleError) as caught:
        read_bundle(policies, None)
    return str(caught.value)


def test_the_data_have_what_the_mesh_renders() -> None:
    assert json.loads(read_bundle(SHIPPED_POLICIES, None).source.data)["services"] == shipped_services().data


def test_without_service_files_the_data_are_the_file_as_it_is(policies: Path) -> None:
    """So the revision of a bundle without them stays what it was."""
    for path in (policies / "services").glob("*.yaml"):
        path.unlink()
    assert read_bundle(policies, None).source.data == (policies / "data.json").read_text()


def test_other_data_in_place_of_the_folders_leave_the_services(policies: Path) -> None:
    bundle = read_bundle(policies, policies / "data.json")
    assert bundle.revision == read_bundle(policies, None).revision


def test_a_bundle_is_the_same_from_its_archive() -> None:
    bundle = read_bundle(SHIPPED_POLICIES, None)
    files = {name: content.decode() for name, content in unpack(pack_bundle(bundle)).items()}
    modules = [(name, text) for name, text in files.items() if name in dict(bundle.source.modules)]
    assert bundle_of(modules, files["data.json"]).revision == bundle.revision


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x: [", "services/x.yaml: cannot be read: "),
        ("- 1", "services/x.yaml: is no mapping of names to services"),
        ("1: {}", "services/x.yaml: is no mapping of names to services"),
        ("x: {at: 2026-01-01}", "services/x.yaml: cannot be read: "),
        ("x: .nan", "services/x.yaml: cannot be read: "),
        ("[" * 20_000, "services/x.yaml: cannot be read: "),
        ("finance: {}", "services/x.yaml: finance is in another file too"),
    ],
    ids=lambda part: part[:16],
)
def test_a_service_file_that_opa_could_not_load_is_refused(policies: Path, text: str, said: str) -> None:
    (policies / "services" / "x.yaml").write_text(text)
    assert refusal(policies).startswith(said)


def test_services_stand_in_files_or_in_the_data(policies: Path) -> None:
    data = json.loads((policies / "data.json").read_text())
    (policies / "data.json").write_text(json.dumps(data | {"services": {}}))
    assert refusal(policies) == "data.json: $.services: stands in the files of the folder services"


def test_data_that_are_no_object_are_named_before_services(policies: Path) -> None:
    (policies / "data.json").write_text("[]")
    assert refusal(policies) == "data.json: the data must be a JSON object"
    (policies / "data.json").write_text("{")
    assert "not JSON" in refusal(policies)


def test_the_check_of_rules_finds_what_is_wrong_with_a_service(
    policies: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `waypost mesh` does: to the rule it is only data."""
    monkeypatch.setattr(checks, "find_opa", lambda: None)
    for path in policies.rglob("*_test.rego"):
        path.unlink()
    path = policies / "services" / "finance.yaml"
    path.write_text(path.read_text().replace("[GET]", "[get]"))
    found = checks.check_bundle(policies).problems
    assert [(one.file, one.detail.partition(" ")[0]) for one in found] == [
        ("services/finance.yaml", "/finance/allow/0/methods/0"),
        ("services/finance.yaml", "/finance/allow/1/methods/0"),
    ]


@needs_opa
@pytest.mark.integration
def test_tests_of_services_run_in_opa_too(policies: Path) -> None:
    """Its data are the same whether it is given the folder or, as here, each file."""
    (policies / "services" / "files_test.rego").write_text(
        "package waypost.services_files_test\n\ntest_a if data.services.finance.namespace == `x`\n"
    )
    found = [str(one) for one in checks.check_bundle(policies).problems]
    assert [one for one in found if "services/files_test.rego:3: test_a" in one]
    path = policies / "services" / "files_test.rego"
    path.write_text(path.read_text().replace("`x`", '"finance"'))
    assert [one for one in checks.check_bundle(policies).problems if "services" in one.file] == []
