"""Reads service files: strict YAML, the types of `service`, and `checks`. Reports every problem at once."""

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct

from gateway.core.errors import GatewayError
from gateway.documents.schema_errors import field_error, schema_errors
from gateway.documents.strict_yaml import read_yaml
from gateway.mesh.checks import check_overlaps, check_service
from gateway.mesh.service import Service
from waypost.json_pointer import FieldError, below

NESTING_MAXIMUM: Final = 16
VALUES_MAXIMUM: Final = 200_000
EXPANSION_MAXIMUM: Final = 1_048_576
BYTES_MAXIMUM: Final = 1_048_576
OBJECT_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\Z")


class Problem(Struct, frozen=True, order=True):
    """A problem of a file: a JSON pointer into it (empty for the whole file), and how to correct it."""

    file: str
    pointer: str
    detail: str

    def __str__(self) -> str:
        return (
            f"{self.file}: {self.pointer}: {self.detail}" if self.pointer else f"{self.file}: {self.detail}"
        )


class MeshError(Exception):
    """Raised for files that cannot be used. The text is every problem, one per line."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, problems)))


class ServiceCatalog(Struct, frozen=True, kw_only=True):
    """All services of a folder, by name; `files` has the file of each, `data` what the rule reads."""

    services: dict[str, Service]
    files: dict[str, str]
    data: dict[str, Any]


def read_services(files: Mapping[str, bytes]) -> ServiceCatalog:
    """Reads service files, given by name. Raises `MeshError` with all problems of all files."""
    problems: list[Problem] = []
    catalog = ServiceCatalog(services={}, files={}, data={})
    for file, content in sorted(files.items()):
        value, errors = read_mapping(content)
        problems += [Problem(file, error.pointer, error.detail) for error in errors]
        for name, described in () if errors else value.items():
            at = below("", name)
            service, errors = _service(name, described, at)
            if name in catalog.files:
                errors.append(FieldError(at, f"is in {catalog.files[name]} too"))
            problems += [Problem(file, error.pointer, error.detail) for error in errors]
            catalog.files.setdefault(name, file)
            if service is not None:
                catalog.services[name], catalog.data[name] = service, described
    problems += [
        Problem(catalog.files[name], error.pointer, error.detail)
        for name, error in check_overlaps(catalog.services)
    ]
    if problems:
        raise MeshError(sorted(problems))
    return catalog


def read_mapping(content: bytes) -> tuple[dict[str, Any], list[FieldError]]:
    """Reads YAML that must be a mapping with an entry; returns it, or the errors that it has."""
    if len(content) > BYTES_MAXIMUM:
        return {}, [FieldError("", f"has more than {BYTES_MAXIMUM} bytes")]
    try:
        value, errors = read_yaml(
            content.decode(),
            maximum_nesting=NESTING_MAXIMUM,
            maximum_expansion=EXPANSION_MAXIMUM,
            maximum_values=VALUES_MAXIMUM,
        )
    except UnicodeDecodeError as error:
        return {}, [FieldError("", f"is not UTF-8: byte {error.start} cannot be there")]
    except GatewayError as error:
        return {}, [FieldError("", error.detail)]
    if not errors and not (isinstance(value, dict) and value):
        errors = [FieldError("", "must be a mapping with an entry, such as the name of a service")]
    return value, errors


def fault_of_name(name: str) -> str | None:
    """Returns what is wrong with `name` as the name of objects in a cluster; None for a good one."""
    if OBJECT_NAME.match(name):
        return None
    return "names objects in the cluster: lower-case letters, digits and dashes"


def _service(name: str, described: Any, at: str) -> tuple[Service | None, list[FieldError]]:
    if fault := fault_of_name(name):
        return None, [FieldError(at, fault)]
    try:
        service = msgspec.convert(described, Service)
    except msgspec.ValidationError as error:
        return None, schema_errors(described, Service, at) or [field_error(error, at)]
    return service, [FieldError(at + error.pointer, error.detail) for error in check_service(service)]
