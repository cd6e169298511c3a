"""Makes the HTTP `Warning` headers of an accepted workflow: likely mistakes, no region, policy's warnings."""

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from clusters.features import SECRETS
from gateway.api.http.services import Services
from gateway.core.decision import Obligations
from gateway.documents.workflow import Spec
from gateway.regions.region_view import RegionView
from gateway.submission.reading.document_reader import Reading
from waypost.workflow.task import TaskSpec

HEADER: Final = b"warning"
WARNINGS_MAXIMUM: Final = 20
"""The maximum number of warnings that are sent; a further one says how many are left out."""
WARNING_MAXIMUM: Final = 300
"""The maximum number of characters of a warning."""


def warnings_for(reading: Reading, obligations: Obligations, services: Services) -> list[tuple[bytes, bytes]]:
    """Returns the HTTP `Warning` headers (RFC 7234, code 299) for an accepted workflow.

    They say if no region could take it now, which likely mistakes it has, and what policy warns of.
    """
    texts = [*_placement_warnings(reading, obligations.regions, services)]
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


def _placement_warnings(reading: Reading, permitted: tuple[str, ...], services: Services) -> Iterator[str]:
    """Yields warnings if policy permits no region of this gateway, or if all of them are too small."""
    # Wishes of which policy permits none are refused by policy itself.
    if services.clusters and not any(name in services.clusters for name in permitted):
        there = ", ".join(sorted(services.clusters))
        yield f"policy permits none of the regions that there are ({there}): the run waits"
        return
    # nearly every document asks for the default, which every cluster has
    for size in (PROCESSORS, MEMORY):
        if size.field in reading.canonical:
            yield from _too_large(reading, permitted, services, size)
    if reading.workflow.spec.secrets and all(
        region.status is not None and SECRETS not in region.features
        for region in _regions_for(reading.workflow.spec, permitted, services)
    ):
        yield "no permitted region gives secrets to tasks (waypost cluster --secrets.files): the run waits"


def _regions_for(spec: Spec, permitted: tuple[str, ...], services: Services) -> list[RegionView]:
    """Returns the regions that may take a workflow, by policy and by its own wish."""
    wished = spec.placement.regions
    wanted = {name for name in permitted if not wished or name in wished}
    return [region for region in services.regions() if region.name in wanted]


class Size(NamedTuple):
    """Something of which a task may ask for more than a region has."""

    field: bytes
    """The name of its field in the JSON of a document, with what surrounds it there."""
    unit: str
    asked: Callable[[TaskSpec], float]
    owned: Callable[[RegionView], float | None]


PROCESSORS: Final = Size(b'"cpu":', "processors", lambda task: task.resources.cpu, lambda region: region.cpu)
MEMORY: Final = Size(
    b'"memoryMiB":',
    "MiB of memory",
    lambda task: task.resources.memory_mib or 0,
    lambda region: region.memory_mib,
)


def _too_large(reading: Reading, permitted: tuple[str, ...], services: Services, size: Size) -> Iterator[str]:
    """Yields a warning if a task asks for more of something than any region has that may take it.

    A region that does not report what it has counts as having enough.
    """
    spec = reading.workflow.spec
    asked = max(map(size.asked, spec.all_tasks))
    owned = [size.owned(region) for region in _regions_for(spec, permitted, services)]
    known = [amount for amount in owned if amount is not None]
    if not owned or len(known) < len(owned) or max(known) >= asked:
        return
    # An outline has other places than the document.
    places = spec.located_tasks if reading.whole else ()
    field = size.field.decode().strip('":')
    where = next((f" ({at}/resources/{field})" for at, task in places if size.asked(task) == asked), "")
    yield (
        f"a task asks for {asked:g} {size.unit}{where}; no permitted region has more than {max(known):g}:"
        " the run waits"
    )
