"""Reads the service files of a policy bundle as OPA does: `services/*.yaml` are `data.services`.

OPA loads them by itself from the folder. Whether they are right says `waypost mesh`, which reads strictly.
"""

import json
from pathlib import Path
from typing import Any, Final

import yaml

from gateway.policy.source import BundleError, Diagnostic

SERVICES_FOLDER: Final = "services"
"""The folder of service files in a bundle's folder, and the name of what they become in its data."""
SUFFIXES: Final = frozenset({".yaml", ".yml"})


def service_files(policies: Path) -> list[Path]:
    """Returns the service files in the folder `policies` of a bundle."""
    return sorted(path for path in (policies / SERVICES_FOLDER).rglob("*") if path.suffix in SUFFIXES)


def read_service_files(policies: Path) -> dict[str, Any]:
    """Returns the services in the service files of a bundle, by name; none where there are no files.

    Raises `BundleError` for a file that is no mapping in YAML with values as JSON has them, and for a service
    that is in two files.
    """
    found: dict[str, Any] = {}
    for path in service_files(policies):
        file = path.relative_to(policies).as_posix()
        for name, service in _mapping(path, file).items():
            if name in found:
                raise BundleError([Diagnostic(file=file, line=0, detail=f"{name} is in another file too")])
            found[name] = service
    return found


def _mapping(path: Path, file: str) -> dict[str, Any]:
    try:
        # Not the loader in C: PyYAML 6.0.3 ends the process where a text nests deep.
        value = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
        json.dumps(value, allow_nan=False)
    except (OSError, ValueError, TypeError, RecursionError, yaml.YAMLError) as error:
        detail = f"cannot be read: {' '.join(str(error).split())[:200] or type(error).__name__}"
        raise BundleError([Diagnostic(file=file, line=0, detail=detail)]) from error
    if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
        raise BundleError([Diagnostic(file=file, line=0, detail="is no mapping of names to services")])
    return value
