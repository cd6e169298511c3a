"""Finds the plug-ins (executors, kinds of cluster) that installed packages declare as entry points."""

from collections.abc import Container, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Generic, TypeVar

from msgspec import Struct

E = TypeVar("E", bound=Struct)


class PluginsFound(Struct, Generic[E], frozen=True, kw_only=True):
    """The plug-ins of one group of entry points: the registry entries, and why others cannot be used."""

    entries: Mapping[str, E]
    sources: Mapping[str, str]
    """The package that brings each plug-in, with its version, by the plug-in's name."""
    broken: Mapping[str, str]
    """The reason, as a sentence, of each plug-in that cannot be used, by its name."""


def find_plugins(group: str, entry_type: type[E], *, taken: Container[str]) -> PluginsFound[E]:
    """Loads the plug-ins that installed packages declare in the entry point group `group`.

    Each entry point names an object of `entry_type`, the registry entry of its plug-in. One that cannot be
    loaded, is no such object or has a name in `taken` is `broken`: a package of others stops no process.
    """
    entries: dict[str, E] = {}
    sources: dict[str, str] = {}
    broken: dict[str, str] = {}
    for point in entry_points(group=group):
        source = f"{point.dist.name} {point.dist.version}" if point.dist is not None else "an unnamed package"
        if point.name in taken or point.name in entries:
            broken.setdefault(f"{point.name} of {source}", f"there is another {point.name} already")
            continue
        entry = _load(point, entry_type)
        if isinstance(entry, str):
            broken[point.name] = f"{point.value} of {source} {entry}"
        else:
            entries[point.name], sources[point.name] = entry, source
    return PluginsFound(entries=entries, sources=sources, broken=broken)


def _load(point: EntryPoint, entry_type: type[E]) -> E | str:
    """Loads the object that an entry point names; returns the object, or a text that says what is wrong."""
    try:
        found = point.load()
    # SystemExit: a module that is meant as a program ends the process that imports it.
    except (Exception, SystemExit) as error:
        return f"cannot be loaded: {type(error).__name__}: {error}"
    return found if isinstance(found, entry_type) else f"is no {entry_type.__name__}"
