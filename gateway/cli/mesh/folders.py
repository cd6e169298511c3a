"""Reads and writes the folders of service files and of rendered ones."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, TypeAlias

from cyclopts import Parameter

from gateway.cli.errors import CliError, Exit
from gateway.mesh.manifest import MARK, manifest
from gateway.mesh.reading import MeshError, ServiceCatalog, read_services
from gateway.mesh.rendering import render_all

SUFFIXES: Final = (".yaml", ".yml")
Services: TypeAlias = Annotated[Path, Parameter(help="A folder of service files, such as policies/services.")]
ServicesOption: TypeAlias = Annotated[
    Path, Parameter(name=("--services", "-d"), help="The folder of service files.")
]
DEFAULT_SERVICES: Final = Path("policies/services")
SHOWN_PROBLEMS: Final = 50


def service_catalog(directory: Path) -> ServiceCatalog:
    """Reads all service files below `directory`. Raises `CliError` with every problem of all of them."""
    if not directory.is_dir():
        raise CliError(f"{directory} is no folder", code=Exit.USAGE)
    files = {
        path.relative_to(directory).as_posix(): path
        for path in directory.rglob("*")
        if path.suffix in SUFFIXES and path.is_file()
    }
    if not files:
        raise CliError(f"{directory} has no service files: no .yaml", code=Exit.USAGE)
    # Named by the folder, so that the rendering is the same from wherever the command is run.
    folder = directory.resolve().name
    try:
        return read_services({f"{folder}/{name}": path.read_bytes() for name, path in files.items()})
    except MeshError as error:
        lines = [str(problem) for problem in error.problems]
        more = (f"... and {len(lines) - SHOWN_PROBLEMS} more",) if len(lines) > SHOWN_PROBLEMS else ()
        raise CliError(
            f"{directory}: the services cannot be used",
            lines=(*lines[:SHOWN_PROBLEMS], *more),
            code=Exit.USAGE,
        ) from error


def rendered_files(catalog: ServiceCatalog) -> dict[str, str]:
    """Returns the files that are rendered from `catalog`, as their names and texts."""
    return {
        f"{name}.yaml": manifest(resources, catalog.files[name])
        for name, resources in render_all(catalog).items()
    }


def found_files(folder: Path) -> dict[str, str]:
    """Returns the YAML files in `folder`, as their names and texts."""
    if not folder.is_dir():
        raise CliError(f"{folder} is no folder: `waypost mesh render` makes it", code=Exit.USAGE)
    try:
        return {path.name: path.read_text() for path in sorted(folder.iterdir()) if path.suffix in SUFFIXES}
    except UnicodeDecodeError as error:
        raise CliError(f"{folder} has a file that is not UTF-8: {error.reason}", code=Exit.USAGE) from error


def write_files(folder: Path, files: Mapping[str, str]) -> list[str]:
    """Writes `files` into `folder`, and removes rendered files that are not among them; says what it did."""
    folder.mkdir(parents=True, exist_ok=True)
    there, done = found_files(folder), []
    for name, text in files.items():
        if there.get(name) == text:
            continue
        if name in there and not there[name].startswith(MARK):
            detail = "is there, and was not made by `waypost mesh render`: move it away first"
            raise CliError(f"{folder / name} {detail}")
        (folder / name).write_text(text)
        done.append(f"{folder / name}: written")
    for name in sorted(there.keys() - files.keys()):
        if there[name].startswith(MARK):
            (folder / name).unlink()
            done.append(f"{folder / name}: removed, no service is rendered into it any more")
    return done or [f"{folder}: nothing has changed"]
