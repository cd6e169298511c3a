"""Writes the parts of the documentation that are generated from the code, between their markers in the pages.

    <!-- generated: NAME -->
    ...
    <!-- end: NAME -->

Usage: `make generated`. A test fails where a page differs from what this would write.
"""

import ast
import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from gateway.core.errors import GatewayError
from gateway.core.shard_states import RULES, Phase
from gateway.policy.bundle import SCHEMAS
from observability import cluster_metrics
from observability.grafana import build
from observability.metric_declaration import Declaration, Label
from observability.metrics import Metrics

DOCS: Final = Path(__file__).parent


def shard_transitions() -> str:
    """The table of transitions, one row a rule, from `gateway/core/shard_states.py`."""
    rows = ["| # | event | from | to | when | orphan |", "| --- | --- | --- | --- | --- | --- |"]
    for rule in RULES:
        before = ", ".join(phase for phase in Phase if phase in rule.before)
        orphan = "listed" if rule.leaves_orphan else ""
        rows.append(f"| {rule.number} | {rule.event} | {before} | {rule.after} | {rule.when} | {orphan} |")
    return "\n".join(rows)


def shard_diagram() -> str:
    """The shard's transitions as a Mermaid state diagram, from the same table."""
    labels: dict[tuple[str, str], list[str]] = {}
    for rule in RULES:
        for phase in rule.before:
            labels.setdefault((phase, rule.after), []).append(f"{rule.event} {rule.number}".strip())
    arrows = [
        f"    {before} --> {after}: {', '.join(dict.fromkeys(names))}"
        for (before, after), names in labels.items()
    ]
    start, ends = [f"    [*] --> {Phase.PENDING}: T1"], [f"    {p} --> [*]" for p in Phase if p.terminal]
    return "\n".join(["```mermaid", "stateDiagram-v2", *start, *sorted(arrows), *ends, "```"])


def error_reasons() -> str:
    """The table of all reasons that a refusal of the API can have, from `gateway/core/errors.py`."""
    rows = ["| status | reason | retryable | meaning | what to do |", "| --- | --- | --- | --- | --- |"]
    for kind in sorted(_descendants(GatewayError), key=lambda kind: (kind.status, kind.reason)):
        text, _, remedy = (inspect.getdoc(kind) or "").partition("What to do: ")
        # The first column has the status.
        meaning = text.partition("\n\n")[0].removeprefix(f"HTTP {kind.status}: ")
        retryable = "yes" if kind.retryable else "no"
        rows.append(
            f"| {kind.status} | `{kind.reason}` | {retryable} | {_sentence(meaning)} | {_sentence(remedy)} |"
        )
    return "\n".join(rows)


def _sentence(text: str) -> str:
    """`text` on one line, with a capital letter."""
    line = " ".join(text.split())
    return line[:1].upper() + line[1:]


def _descendants(kind: type[GatewayError]) -> list[type[GatewayError]]:
    return [found for child in kind.__subclasses__() for found in (child, *_descendants(child))]


def rooms() -> str:
    """A paragraph for each package: the docstring of its `__init__.py`."""
    paragraphs = []
    for top in ("gateway", "clusters", "observability", "waypost"):
        for file in sorted((DOCS.parent / top).rglob("__init__.py")):
            text = ast.get_docstring(ast.parse(file.read_text())) or ""
            sentences = " ".join(text.split())
            paragraphs.append(f"**{file.parent.relative_to(DOCS.parent)}/**: {sentences}")
    return "\n\n".join(paragraphs)


def policy_input() -> str:
    """The table of all fields that rules see, from the JSON Schema of the input."""
    schema = msgspec.json.decode((SCHEMAS / "input.json").read_bytes())
    rows = ["| field | type | |", "| --- | --- | --- |", *_fields("input", schema, schema)]
    return "\n".join(rows)


def _fields(path: str, node: dict[str, Any], root: dict[str, Any]) -> Iterator[str]:
    for name, field in node.get("properties", {}).items():
        below = f"{path}.{name}"
        while "$ref" in field:
            field = root["$defs"][field["$ref"].rpartition("/")[2]]
        kinds = field.get("type", "string")
        shown = ", ".join([kinds] if isinstance(kinds, str) else kinds)
        words = ", ".join(f"`{word}`" for word in field.get("enum", ()))
        yield f"| `{below}` | {shown} | {field.get('description', '')}{words} |"
        yield from _fields(below, field, root)
        items = field.get("items", {})
        if "$ref" in items:
            yield from _fields(f"{below}[_]", root["$defs"][items["$ref"].rpartition("/")[2]], root)


def gateway_metrics() -> str:
    """The table of a gateway's metrics, from `observability/gateway_metrics.py`."""
    return _metrics(Metrics().registry.declared.values())


def cluster_gateway_metrics() -> str:
    """The table of an embedded cluster's metrics, from `observability/cluster_metrics.py`."""
    return _metrics(cluster_metrics.ClusterMetrics().registry.declared.values())


def _metrics(metrics: Iterable[Declaration]) -> str:
    rows = ["| metric | labels | meaning | look here when |", "| --- | --- | --- | --- |"]
    for metric in metrics:
        labels = ", ".join(f"`{label.name}`" for label in metric.labels)
        rows.append(f"| `{metric.name}` ({metric.kind}) | {labels} | {metric.help} | {metric.look} |")
    return "\n".join(rows)


def metric_labels() -> str:
    """The table of all labels: their values, how many a process has at most, and the metrics that have it."""
    metrics = Metrics().registry.declared | cluster_metrics.ClusterMetrics().registry.declared
    having: dict[Label, list[str]] = {}
    for metric in metrics.values():
        for label in metric.labels:
            having.setdefault(label, []).append(f"`{metric.name}`")
    rows = ["| label | values | at most | of |", "| --- | --- | --- | --- |"]
    for label in sorted(having, key=lambda label: label.name):
        rows += [f"| `{label.name}` | {label.values} | {label.most} | {', '.join(having[label])} |"]
    return "\n".join(rows)


PARTS: Final[Mapping[str, Callable[[], str]]] = {
    "shard transitions": shard_transitions,
    "shard diagram": shard_diagram,
    "error reasons": error_reasons,
    "rooms": rooms,
    "policy input": policy_input,
    "gateway metrics": gateway_metrics,
    "cluster metrics": cluster_gateway_metrics,
    "metric labels": metric_labels,
}


def generated(text: str) -> str:
    """The page `text` with the content of every marked part generated again.

    Raises `KeyError` for a marker without a generator.
    """

    def write(match: re.Match[str]) -> str:
        name = match[1]
        return f"<!-- generated: {name} -->\n{PARTS[name]()}\n<!-- end: {name} -->"

    return re.sub(r"<!-- generated: ([a-z ]+) -->\n.*?<!-- end: \1 -->", write, text, flags=re.DOTALL)


def main() -> None:
    """Rewrites, in place, the pages whose generated parts have changed."""
    for page in sorted(DOCS.glob("*.md")):
        before = page.read_text()
        after = generated(before)
        if after != before:
            page.write_text(after)


if __name__ == "__main__":
    main()
    build.main()
