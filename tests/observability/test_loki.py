"""Tests the shipped Loki configuration and Alloy pipeline: few labels, and existing fields."""

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).parent.parent.parent
LOKI = yaml.safe_load((ROOT / "observability" / "loki" / "loki.yml").read_text())
ALLOY = "".join(path.read_text() for path in sorted((ROOT / "observability" / "loki").glob("*.alloy")))
BOUNDED = {"level", "process", "region"}


def fields_of(block: str) -> set[str]:
    """Returns the names on the left in a block of the pipeline, such as `stage.labels`."""
    (found,) = re.findall(rf"{re.escape(block)} \{{\n\s+\w+ = \{{\n(.*?)\n\s+\}}\n", ALLOY, re.DOTALL)
    return set(re.findall(r"^\s+(\w+)\s+=", found, re.MULTILINE))


def test_labels_are_few_and_bounded() -> None:
    """Each combination of labels is a stream of its own: a label with a run in it ends a Loki."""
    assert fields_of("stage.labels") == BOUNDED
    assert LOKI["limits_config"]["max_label_names_per_series"] == len(BOUNDED)
    assert "filename" in re.findall(r'stage\.label_drop \{\n\s+values = \["(\w+)"\]', ALLOY)


def test_what_is_searched_for_goes_along_and_is_no_label() -> None:
    """The trace, the run and the decision are what an operator has in hand."""
    searched = fields_of("stage.structured_metadata")
    assert {"trace_id", "run", "shard", "decision_id", "tenant"} <= searched
    assert searched | BOUNDED | {"time"} == fields_of("stage.json")
    assert LOKI["limits_config"]["allow_structured_metadata"] is True


def test_log_lines_have_the_fields_that_the_pipeline_reads() -> None:
    """A field that was renamed would be looked for in vain."""
    text = "\n".join(
        path.read_text()
        for folder in ("gateway", "clusters", "observability")
        for path in (ROOT / folder).rglob("*.py")
    )
    bound = set(re.findall(r"\b(\w+)=", " ".join(re.findall(r"\.bind\(([^)]*)\)", text))))
    given = set(re.findall(r'"(\w+)":', text))
    assert fields_of("stage.json") <= bound | given


def test_the_blocks_of_the_pipeline_are_closed_and_joined() -> None:
    """Alloy is not to be had here: at least each receiver that is named is there."""
    assert ALLOY.count("{") == ALLOY.count("}")
    made = set(re.findall(r'^(loki\.\w+(?:\.\w+)?) "waypost"', ALLOY, re.MULTILINE))
    named = set(re.findall(r"(loki\.\w+)\.waypost\.receiver", ALLOY))
    assert named and named <= made
