"""Tests bundles: rules and data read from a folder."""

import shutil
from pathlib import Path

import msgspec
import pytest

from gateway.policy.bundle import SHIPPED_POLICIES, read_bundle
from gateway.policy.embedded.loading import load_bundle
from gateway.policy.source import BundleError

FLOOR = {
    "tenants": {"payments": {"max_priority": 7, "regions": ["beijing"]}},
    "residency": {"pii": ["beijing"]},
    "banned_images": ["x/"],
}


@pytest.fixture
def shipped(tmp_path: Path) -> Path:
    """Copies the shipped policies to a folder, in which a test may break them."""
    return Path(shutil.copytree(SHIPPED_POLICIES, tmp_path / "policies"))


def refusal(policies: Path, data: Path | None = None) -> str:
    with pytest.raises(BundleError) as caught:
        load_bundle(policies, data)
    return str(caught.value)


def test_tests_are_not_rules() -> None:
    """A `_test.rego` file is not evaluated for decisions."""
    bundle = load_bundle(SHIPPED_POLICIES, None)
    assert [file for file, _ in bundle.source.modules if file.endswith("_test.rego")] == []
    assert "submission/submission_test.rego" in dict(bundle.tests)


def test_the_revision_does_not_depend_on_the_folder_or_the_tests(shipped: Path) -> None:
    """Two gateways with the same rules have the same revision."""
    (shipped / "access" / "access_test.rego").unlink()
    assert load_bundle(shipped, None).revision == load_bundle(SHIPPED_POLICIES, None).revision


def test_a_space_makes_another_revision(shipped: Path) -> None:
    """A decision names the exact text that it was made by."""
    path = shipped / "access" / "access.rego"
    path.write_text(path.read_text() + " ")
    assert load_bundle(shipped, None).revision != load_bundle(SHIPPED_POLICIES, None).revision


def test_rules_that_are_not_rego_are_refused_with_their_line(shipped: Path) -> None:
    """All files are parsed: two broken ones give two diagnostics."""
    (shipped / "access" / "access.rego").write_text("package waypost.access\n\ndecision := {\n")
    (shipped / "caller" / "caller.rego").write_text("nonsense\n")
    lines = refusal(shipped).splitlines()
    assert [line.split(": ")[0] for line in lines] == ["access/access.rego:4", "caller/caller.rego:1"]


def test_rules_that_do_not_compile_are_refused_with_their_line(shipped: Path) -> None:
    """What parses may still name a rule that does not exist."""
    path = shipped / "access" / "access.rego"
    path.write_text(path.read_text() + "\nallow if nothing > 1\n")
    assert refusal(shipped).startswith(f"access/access.rego:{len(path.read_text().splitlines())}: ")


def test_a_rule_set_that_is_missing_is_refused(shipped: Path) -> None:
    """Reported at the start, not as a 503 for the first question."""
    (shipped / "placement" / "placement.rego").unlink()
    assert "there is no rule data.waypost.placement.decision" in refusal(shipped)


def test_a_folder_without_rules_is_refused(tmp_path: Path) -> None:
    """The path may be mistyped."""
    assert "no .rego file" in refusal(tmp_path)


def test_data_with_nothing_but_the_least_is_taken(tmp_path: Path) -> None:
    """Everything but tenants, their regions and residency is optional."""
    path = tmp_path / "data.json"
    path.write_bytes(msgspec.json.encode(FLOOR))
    data = msgspec.json.decode(load_bundle(SHIPPED_POLICIES, path).source.data)
    assert {name: value for name, value in data.items() if name != "services"} == FLOOR


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        ({"banned_image": []}, "'banned_image' was unexpected"),
        ({"tenants": {"a": {"regions": [], "max_prioriti": 1}}}, "$.tenants.a: "),
        ({"tenants": {"a": {"regions": [], "max_priority": "7"}}}, "$.tenants.a.max_priority: "),
        ({"tenants": {"a": {"max_priority": 7}}}, "'regions' is a required property"),
        ({"banned_images": "docker.io/"}, "$.banned_images: "),
        ({"banned_images": [""]}, "$.banned_images[0]: "),
        ({"residency": {"pii": "beijing"}}, "$.residency.pii: "),
    ],
)
def test_data_that_would_limit_nothing_is_refused(
    tmp_path: Path, change: dict[str, object], detail: str
) -> None:
    """A limit with a mistyped name, or a number as text, would never refuse anything."""
    path = tmp_path / "data.json"
    path.write_bytes(msgspec.json.encode(FLOOR | change))
    assert detail in refusal(SHIPPED_POLICIES, path)


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("{", "data.json:1: not JSON"),
        ("[]", "must be a JSON object"),
        (
            '{"tenants": {"a": {"regions": []}, "a": {"regions": ["x"]}}, "residency": {}}',
            "the name 'a' is there twice",
        ),
        ("\ufeff{}", "not JSON"),
    ],
)
def test_data_that_can_be_read_in_two_ways_is_refused(tmp_path: Path, text: str, detail: str) -> None:
    """Doubled names, arrays and byte order marks: every reader must see the same data."""
    path = tmp_path / "data.json"
    path.write_text(text)
    assert detail in refusal(SHIPPED_POLICIES, path)


def test_data_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """Empty data would refuse every caller without saying why."""
    assert "No such file" in refusal(SHIPPED_POLICIES, tmp_path / "absent.json")


@pytest.mark.parametrize("name", ["acme/data.json", "house/lists/data.yaml", "data.yml"])
def test_data_that_opa_would_load_and_the_gateway_would_not_are_named(tmp_path: Path, name: str) -> None:
    """Rules that pass `opa test` with them would decide without, and what is undefined refuses nothing."""
    folder = tmp_path / "policies"
    shutil.copytree(SHIPPED_POLICIES, folder)
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("{}")
    with pytest.raises(BundleError) as refused:
        read_bundle(folder, None)
    (found,) = refused.value.diagnostics
    assert found.file == name
    assert "one data.json, at the top: what your rules read goes below `house`" in found.detail
