"""Makes the HTTP `Warning` headers of an accepted workflow: likely mistakes, no region, policy's warnings."""

from collections.abc import Iterator
from typing import Final

from gateway.api.http.services import Services
from gateway.core.decision import Obligations
from gateway.documents.workflow import Workflow
from gateway.submission.reading.document_reader import Reading

HEADER: Final = b"warning"
WARNINGS_MAXIMUM: Final = 20
"""The maximum number of warnings that are sent; a further one says how many are left out."""
WARNING_MAXIMUM: Final = 300
"""The maximum number of characters of a warning."""


def warnings_for(reading: Reading, obligations: Obligations, services: Services) -> list[tuple[bytes, bytes]]:
    """Returns the HTTP `Warning` headers (RFC 7234, code 299) for an accepted workflow.

    They say if no region could take it now, which likely mistakes it has, and what policy warns of.
    """
    texts = [*_placement_warnings(reading.workflow, reading.canonical, obligations.regions, services)]
    texts += reading.mistakes
    texts += obligations.warnings
    if left := texts[WARNINGS_MAXIMUM:]:
        texts = [*texts[:WARNINGS_MAXIMUM], f"and {len(left)} more warnings"]
    return [(HEADER, _header_value(text)) for text in texts]


def _header_value(text: str) -> bytes:
    """Formats `text`, which may have any characters, as the value of a `Warning` header."""
    # Control characters would end the header, or be obeyed by a terminal.
    line = "".join(char if char.isprintable() else " " for char in text[:WARNING_MAXIMUM])
    quoted = line.replace("\\", "\\\\").replace('"', '\\"')
    return f'299 - "{quoted}"'.encode()


def _placement_warnings(
    workflow: Workflow, canonical: bytes, permitted: tuple[str, ...], services: Services
) -> Iterator[str]:
    """Yields a warning if policy permits no region of this gateway, or all of them have too few processors.

    A region that does not report its processors counts as having enough.
    """
    # Wishes of which policy permits none are refused by policy itself.
    if services.clusters and not any(name in services.clusters for name in permitted):
        there = ", ".join(sorted(services.clusters))
        yield f"policy permits none of the regions that there are ({there}): the run waits"
        return
    # nearly every document asks for the default, which every cluster has
    if b'"cpu":' not in canonical:
        return
    cpu = max(task.resources.cpu for task in workflow.spec.all_tasks)
    if all(region.cpu is not None and region.cpu >= cpu for region in services.regions()):
        return
    wished = workflow.spec.placement.regions
    wanted = {name for name in permitted if not wished or name in wished}
    regions = [region for region in services.regions() if region.name in wanted]
    if not regions or any(region.cpu is None or region.cpu >= cpu for region in regions):
        return
    largest = max(region.cpu or 0.0 for region in regions)
    yield (
        f"a task asks for {cpu:g} processors; no permitted region has more than {largest:g}: the run waits"
    )
