"""Names that input and data do not have are refused."""

import json
import shutil
from pathlib import Path

import pytest

from gateway.policy.bundle import SHIPPED_POLICIES, BundleError
from gateway.policy.embedded.compilation import compile_source, load_bundle


@pytest.fixture
def shipped(tmp_path: Path) -> Path:
    """A copy of the shipped policies, to be extended."""
    return Path(shutil.copytree(SHIPPED_POLICIES, tmp_path / "policies"))


def refusal(policies: Path, rule: str, head: str = "") -> str:
    (policies / "odd.rego").write_text(f"package waypost.odd\nimport rego.v1\n{head}\n{rule}\n")
    with pytest.raises(BundleError) as caught:
        load_bundle(policies, None)
    return str(caught.value)


@pytest.mark.parametrize(
    ("rule", "detail"),
    [
        ("r if input.workfow.spec", "odd.rego:4: input has no field workfow: did you mean workflow?"),
        (
            "r if input.workflow.spec.priorty > 7",
            "odd.rego:4: input.workflow.spec has no field priorty: did you mean priority?",
        ),
        (
            "r if some t in input.workflow.spec.tasks[_].timeout",
            "odd.rego:4: input.workflow.spec.tasks[..] has no field timeout: did you mean timeoutSeconds?",
        ),
        (
            "r if not input.principal.scope",
            "odd.rego:4: input.principal has no field scope: did you mean scopes?",
        ),
        (
            'r if input["principle"].tenant',
            "odd.rego:4: input has no field principle: did you mean principal?",
        ),
        (
            "r if input.context.run.tenants",
            "odd.rego:4: input.context.run has no field tenants: did you mean tenant?",
        ),
        (
            "r if data.tenant[input.principal.tenant]",
            "odd.rego:4: data has no field tenant: did you mean tenants?",
        ),
        (
            "r if data.tenants[input.principal.tenant].region",
            "odd.rego:4: data.tenants[..] has no field region: did you mean regions?",
        ),
        ("r if data.operators.zzz", "odd.rego:4: data.operators has no field zzz"),
        (
            "r if some x in data.banned_image",
            "odd.rego:4: data has no field banned_image: did you mean banned_images?",
        ),
        (
            "r if data.waypost.caller.operators",
            "odd.rego:4: there is no rule data.waypost.caller.operators: "
            "did you mean data.waypost.caller.operator?",
        ),
    ],
)
def test_a_misspelt_name_is_refused_with_the_right_one(shipped: Path, rule: str, detail: str) -> None:
    """It is always undefined: the rule would refuse nothing, or everything."""
    assert refusal(shipped, rule) == detail


def test_a_misspelt_name_is_found_in_an_import(shipped: Path) -> None:
    """The rules contain only the alias."""
    assert refusal(shipped, "r if who.tenant", "import input.principle as who").startswith(
        "odd.rego:3: input has no field principle"
    )


@pytest.mark.parametrize(
    "rule",
    [
        "r if input.workflow.spec.params.anything[_].goes",
        "r if input.workflow.spec.tasks[_].run.anything.goes",
        "r if input.context.run.labels.team",
        "r if input.principal.groups[0]",
        "r if data.tenants[input.principal.tenant].regions[0]",
        "r if data.residency.pii",
        "r if data.waypost.caller.operator",
        "r if { input_ = input.principal; input_.anything }",
    ],
)
def test_what_is_there_or_left_open_is_taken(shipped: Path, rule: str) -> None:
    """A field that the schema leaves open may be named."""
    (shipped / "odd.rego").write_text(f"package waypost.odd\nimport rego.v1\n{rule}\n")
    source = load_bundle(shipped, None).source
    compile_source(source)

    assert rule in dict(source.modules)["odd.rego"]


def test_rules_of_ones_own_are_held_against_what_ships(shipped: Path) -> None:
    """A folder without schemas is checked with those that ship, so that mistyped limits are found."""
    shutil.rmtree(shipped / "schemas")
    (shipped / "data" / "waypost.json").write_text(
        json.dumps({"tenants": {}, "residency": {}, "banned_image": []})
    )
    with pytest.raises(BundleError, match="'banned_image' was unexpected"):
        load_bundle(shipped, None)


def test_a_schema_of_ones_own_counts_instead(shipped: Path) -> None:
    """Rules of a user may read other data than those that ship."""
    (shipped / "schemas" / "data.json").write_text(
        '{"additionalProperties": false, "properties": {"tenants": {}, "teams": {}}}'
    )
    (shipped / "data" / "waypost.json").write_text('{"tenants": {}, "teams": {}}')
    (shipped / "odd.rego").write_text("package waypost.odd\nimport rego.v1\nr if data.teams.a\n")
    with pytest.raises(BundleError, match="data has no field residency"):
        load_bundle(shipped, None)
