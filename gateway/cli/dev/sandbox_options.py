"""Chooses the options by which a cluster of a development stack runs tasks: sandboxes, and storages."""

import json
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path


def sandbox_options(
    hidden: Path, shared: Iterable[Path], executors: Mapping[str, Mapping[str, str]]
) -> list[str]:
    """Returns the options of `waypost cluster` for a cluster of a stack whose own folder is `hidden`.

    `executors` are further settings, by the name of the executor; they go before those that are chosen here.
    Tasks see this Python, and may change the folders `shared` as the stack's user. All that is submitted to
    a development stack is trusted: where the machine has no sandboxes, tasks run without.
    """
    pythons = {sys.prefix, sys.base_prefix, os.path.realpath(sys.base_prefix)}
    settings: dict[str, object] = {"read_only": sorted({"/opt"} | pythons), "own_user": False}
    writable = [path.resolve() for path in shared]
    if writable:
        settings["writable"] = [str(path) for path in writable]
    # Named only where a task would see it: a command line can be read.
    if any(hidden.is_relative_to(path) for path in writable):
        settings["hidden"] = [str(hidden)]
    process = {name: json.dumps(value) for name, value in settings.items()}
    tables = {**executors, "process": process | dict(executors.get("process", {}))}
    options = [
        f"--executor.{executor}.{name}={value}"
        for executor, table in tables.items()
        for name, value in table.items()
    ]
    return ["--trusted-tenants", *options]


def storage_options(storages: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Returns the options of `waypost cluster` for storages, whose folders may be relative here."""
    return [
        f"--storage.{name}.{setting}={os.path.abspath(value) if setting == 'folder' else value}"
        for name, table in storages.items()
        for setting, value in table.items()
    ]
