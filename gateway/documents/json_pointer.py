"""JSON pointers (RFC 6901): where in a document something is."""

from collections.abc import Iterable


def below(pointer: str, *parts: str | int) -> str:
    """The pointer to what `parts` lead to, from what `pointer` leads to."""
    return pointer + "".join(
        f"/{part.replace('~', '~0').replace('/', '~1')}" if isinstance(part, str) else f"/{part}"
        for part in parts
    )


def pointer_to(parts: Iterable[str | int]) -> str:
    """The pointer to what `parts` lead to, from the whole document."""
    return below("", *parts)


def parts_of(pointer: str) -> list[str]:
    """The names and numbers that lead to what `pointer` leads to."""
    return [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]
