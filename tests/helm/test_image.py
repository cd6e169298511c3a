"""Tests what the image is made of: the versions that are tested, what the gateway needs, the chart's user."""

import re
import tomllib
from pathlib import Path
from typing import Final

import msgspec
import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from helm.sbom import bill_of_materials
from tests.helm.rendering import Object, containers, of_kind, rendered

ROOT: Final = Path(__file__).parent.parent.parent
CONTAINERFILE: Final = (ROOT / "Containerfile").read_text()


def locked(path: Path) -> dict[str, str]:
    """Returns the versions in a lock file by the names of the packages."""
    return dict(re.findall(r"^([a-z0-9-]+)==([^\s\\]+)", path.read_text(), re.MULTILINE))


def test_the_image_has_the_versions_that_are_tested() -> None:
    """Those of development; `make lock` resolves both."""
    assert locked(ROOT / "helm" / "image.lock").items() <= locked(ROOT / "requirements.lock").items()


def test_the_site_is_made_with_the_versions_that_are_tested() -> None:
    """It is made in the environment of development, of which it would exchange packages."""
    tested, site = locked(ROOT / "requirements.lock"), locked(ROOT / "docs" / "requirements.lock")
    assert {name: site[name] for name in site.keys() & tested} == {
        name: tested[name] for name in site.keys() & tested
    }


def test_the_image_has_what_waypost_needs_and_spans_and_no_tools() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    needed, tools = [
        {re.split(r"[^a-z0-9-]", line.lower())[0] for line in lines}
        for lines in ([*project["dependencies"], *extras["otel"]], extras["dev"])
    ]
    found = locked(ROOT / "helm" / "image.lock").keys()
    assert needed <= found
    assert found.isdisjoint(tools)


def test_what_the_image_runs_is_built_elsewhere_and_nothing_else_is_sent_to_it() -> None:
    """A file of secrets in the folder is in no layer."""
    assert (ROOT / ".dockerignore").read_text().splitlines() == [
        "*",
        "!dist/waypost-*.whl",
        "!helm/image.lock",
    ]
    assert re.findall(r"^COPY (?!--from)(\S+)", CONTAINERFILE, re.MULTILINE) == [
        "helm/image.lock",
        "dist/waypost-*.whl",
    ]


@pytest.mark.integration
def test_the_user_of_the_image_is_that_of_the_pods(chart: Path) -> None:
    objects: list[Object] = rendered(chart)
    (pod,) = of_kind(objects, "StatefulSet")
    context = pod["spec"]["template"]["spec"]["securityContext"]
    assert f"USER {context['runAsUser']}:{context['runAsGroup']}\n" in CONTAINERFILE
    assert {one["command"][0] for one in containers(objects)} == {"waypost"}
    assert 'ENTRYPOINT ["waypost"]' in CONTAINERFILE


def test_the_image_says_what_is_in_it() -> None:
    """As a CycloneDX document that its own library takes; the same each time, so that it can be compared."""
    written = msgspec.json.encode(bill_of_materials()).decode()
    # Its schema takes any version for its own.
    assert bill_of_materials()["specVersion"] == SchemaVersion.V1_5.to_version()
    assert JsonStrictValidator(SchemaVersion.V1_5).validate_str(written) is None
    listed = {one["name"]: one["version"] for one in bill_of_materials()["components"]}
    assert listed == locked(ROOT / "helm" / "image.lock")
    assert written == msgspec.json.encode(bill_of_materials()).decode()
