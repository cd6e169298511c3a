"""Groups runs for writes to the store, each of which acceptance may have to wait for. Pure."""

from collections.abc import Iterable, Iterator, Sequence

from gateway.core.run import Run


def write_groups(
    written: Iterable[tuple[Run, int]], *, runs: int, maximum_bytes: int
) -> Iterator[Sequence[Run]]:
    """Yields runs in groups of at most `runs` with at most `maximum_bytes` of documents, or of one run.

    Each run comes with the size of its document.
    """
    group, size = list[Run](), 0
    for run, document in written:
        if group and (len(group) == runs or size + document > maximum_bytes):
            yield group
            group, size = [], 0
        group, size = [*group, run], size + document
    if group:
        yield group
