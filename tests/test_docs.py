"""Tests that the examples in the documentation work."""

import re
from pathlib import Path

import msgspec
import pytest

from clusters.registry import executors_at
from docs.generate import generated
from gateway.__main__ import app
from gateway.documents.checks import check
from gateway.documents.parsing import parse
from gateway.policy.bundle import SHIPPED_POLICIES
from gateway.policy.embedded.loading import check_bundle, load_bundle
from gateway.policy.embedded.rego_tests import run_rego_tests
from gateway.settings import DocumentLimits, GatewaySettings
from gateway.settings_loading import load_settings
from observability.cluster_metrics import ClusterMetrics
from observability.grafana.pages import DASHBOARDS
from observability.metrics import Metrics

ROOT = Path(__file__).parent.parent
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "docs" / "operations").glob("*.md")),
    *sorted((ROOT / "docs" / "runbooks").glob("*.md")),
]
EXECUTORS = executors_at([])
LARGEST_PICTURE_BYTES = 200_000


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_workflow_in_the_documentation_would_be_accepted(page: Path) -> None:
    """A reader pastes what is shown."""
    for text in blocks(page, "yaml"):
        workflow = parse(text.encode(), "application/yaml", DocumentLimits())
        assert check(workflow, msgspec.json.encode(workflow), DocumentLimits(), EXECUTORS) == []


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.yaml")), ids=lambda path: path.name)
def test_every_example_would_be_accepted(path: Path) -> None:
    """An example that is refused teaches the wrong thing."""
    workflow = parse(path.read_bytes(), "application/yaml", DocumentLimits())
    assert check(workflow, msgspec.json.encode(workflow), DocumentLimits(), EXECUTORS) == []


def test_the_settings_in_the_documentation_hold(tmp_path: Path) -> None:
    """A setting that was renamed must be renamed there too."""
    (text,) = blocks(ROOT / "docs" / "operating.md", "toml")
    (tmp_path / "gateway.toml").write_text(text)
    assert isinstance(load_settings(tmp_path / "gateway.toml", {}), GatewaySettings)


OPERATORS_COMMANDS = ("cluster", "gateway", "pki init")


@pytest.mark.parametrize("words", OPERATORS_COMMANDS)
def test_the_options_that_operators_start_processes_with_are_documented(words: str) -> None:
    """An option that only `--help` names is not found by somebody who reads how to set a gateway up."""
    text = "".join(page.read_text() for page in PAGES if page.parent.name != "runbooks")
    command = app
    for word in words.split():
        command = command[word]
    options = [
        argument.name for argument in command.assemble_argument_collection() if argument.name.startswith("--")
    ]
    assert [name for name in options if not re.search(rf"{re.escape(name)}(?![\w-])", text)] == []


OPTIONS_FOR = {"store_restored": "--restored", "development": "--dev"}
"""The options that stand for a setting."""


@pytest.mark.parametrize("name", [field.name for field in msgspec.structs.fields(GatewaySettings)])
def test_every_group_of_settings_is_documented(name: str) -> None:
    """As a table of a settings file, in a sentence, or by the option that stands for it."""
    text = "".join(page.read_text() for page in PAGES)
    option = OPTIONS_FOR.get(name, f"[{name}]")
    assert option in text or re.search(rf"^{name} = |`{name}[.`]|the setting {name}\.", text, re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_page_is_named_by_another(page: Path) -> None:
    """Or nobody reads it. Alerts name runbooks."""
    others = "".join(one.read_text() for one in PAGES if one != page)
    assert page.name in others or page.name == "README.md" or page.parent.name == "runbooks"


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=lambda page: page.name)
def test_every_page_is_in_the_site(page: Path) -> None:
    """In one of the lists of docs/index.md: `make docs` would refuse it. Folders are there as a whole."""
    assert page.name == "index.md" or page.stem in (ROOT / "docs" / "index.md").read_text().splitlines()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_to_files(page: Path) -> None:
    """The site has no pages of folders."""
    targets = [target for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()) if "://" not in target]
    if page.parent != ROOT:
        assert [target for target in targets if (page.parent / target).is_dir()] == []


SERIES = re.compile(r"_(bucket|count|sum)$")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    """A reader follows them."""
    targets = [target for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()) if "://" not in target]
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_the_metrics_in_the_documentation_are_there_and_all_of_them() -> None:
    """An alert on a name that does not exist never fires."""
    declared = Metrics().registry.declared.keys() | ClusterMetrics().registry.declared.keys()
    named = {name for page in PAGES for name in re.findall(r"\bwaypost_[a-z_]+", page.read_text())}
    # Of a histogram a query names the series.
    assert {name if name in declared else SERIES.sub("", name) for name in named} == declared


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_is_generated_is_up_to_date(page: Path) -> None:
    """A table that is kept by hand is soon another than the code's; `make generated` writes it."""
    assert generated(page.read_text()) == page.read_text()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_files_that_the_documentation_names_are_there(page: Path) -> None:
    """A page outlives a move only if somebody looks."""
    named = re.findall(
        r"`((?:gateway|clusters|observability|waypost|tests)/[\w/]+\.(?:py|sql))`", page.read_text()
    )
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_each_dashboard_is_shown_by_its_picture() -> None:
    """A reader without a Grafana sees what there is. `make pictures` draws them."""
    folder = ROOT / "docs" / "images"
    expected = {f"dashboard-{page.uid.removeprefix('waypost-')}.png" for page in DASHBOARDS}
    shown = set(re.findall(r"!\[[^\]]+\]\(images/([^)]+)\)", (ROOT / "docs" / "monitoring.md").read_text()))
    assert shown == expected
    everywhere = re.findall(r"!\[[^\]]+\]\(images/([^)]+)\)", "".join(page.read_text() for page in PAGES))
    assert {path.name for path in folder.iterdir()} == set(everywhere)
    assert [path.name for path in folder.iterdir() if path.stat().st_size > LARGEST_PICTURE_BYTES] == []


CLOSED = """package waypost.closed_test

import data.waypost.submission

permitted(at, class) := regions if {
	question := {
		"action": "runs:submit",
		"at": at,
		"context": {},
		"principal": {"issuer": "i", "tenant": "t", "scopes": ["workflows:submit"], "groups": []},
		"workflow": {
			"metadata": {"name": "w", "tenant": "t", "labels": {"team": "a"}},
			"spec": {"tasks": [{"type": "delay"}], "dataClass": class, "placement": {"regions": []}},
		},
	}
	decision := submission.decision with input as question
		with data.tenants as {"t": {"regions": ["beijing", "shanghai", "shenzhen"]}}
		with data.residency as {"secret": ["beijing", "shanghai"]}
		with data.house as {"secret_regions": ["beijing"]}
	decision.allow
	regions := decision.obligations.regions
}

test_secret_data_stay if permitted(1796356800, "secret") == {"beijing"}

test_by_day_all_is_open if permitted(1796356800, null) == {"beijing", "shanghai", "shenzhen"}

test_by_night_one_is_closed if permitted(1796400000, null) == {"beijing", "shanghai"}
"""


IMAGES = """
package waypost.images_test

import data.waypost.house

refused(image) := {refusal.rule |
	task := {"name": "a", "type": "docker", "run": {"image": image}}
	some refusal in house.submit with input as {"workflow": {
		"metadata": {"labels": {"team": "a"}},
		"spec": {"tasks": [task, {"name": "b", "type": "delay", "run": {}}]},
	}}
		with data.house as {"registries": ["registry.test"]}
}

test_images_of_permitted_registries if {
	refused("registry.test/fit@sha256:0a") == set()
	refused("registry.test/fit:1") == {"image.registry"}
	refused("registry.test.evil.test/fit@sha256:0a") == {"image.registry"}
	refused("sha256:0a") == {"image.registry"}
}
"""


def test_the_rules_in_the_documentation_pass_their_tests() -> None:
    """A security team starts from them: a rule and its test, among the rules that ship."""
    shipped = load_bundle(SHIPPED_POLICIES, None)
    rule, test, images, closed = blocks(ROOT / "docs" / "rules.md", "rego")
    house = {"labels": rule, "images": images, "closed": closed}
    modules = (*shipped.source.modules, *((f"house/{name}.rego", text) for name, text in house.items()))
    source = msgspec.structs.replace(shipped.source, modules=modules)
    bundle = msgspec.structs.replace(
        shipped,
        source=source,
        tests=(("labels_test.rego", test), ("closed_test.rego", CLOSED), ("images_test.rego", IMAGES)),
    )
    assert check_bundle(bundle) == []
    report = run_rego_tests(bundle)
    assert (report.tests, report.failures) == (5, ())
