"""Reads and writes the folders of service files and of rendered ones."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final, TypeAlias

from cyclopts import Parameter
from msgspec import Struct

from gateway.cli.errors import CliError, Exit
from gateway.mesh.manifest import MARK, manifest
from gateway.mesh.reading import MeshError, ServiceCatalog, read_services
from gateway.mesh.regions import RegionalHost, read_regions, render_regions
from gateway.mesh.rendering import Resource, render_all

SUFFIXES: Final = (".yaml", ".yml")
Services: TypeAlias = Annotated[Path, Parameter(help="A folder of service files, such as policies/services.")]
ServicesOption: TypeAlias = Annotated[
    Path, Parameter(name=("--services", "-d"), help="The folder of service files.")
]
DEFAULT_SERVICES: Final = Path("policies/services")
Regions: TypeAlias = Annotated[
    Path | None, Parameter(help="A file of hosts with an ingress gateway in each region, to render too.")
]
SHOWN_PROBLEMS: Final = 50


class Rendering(Struct, frozen=True, kw_only=True):
    """What is rendered: of each file its resources, and the file that they were made from."""

    catalog: ServiceCatalog
    files: dict[str, tuple[str, list[Resource]]]

    @property
    def resources(self) -> list[Resource]:
        """All resources, in order of files."""
        return [one for _, resources in self.files.values() for one in resources]

    def texts(self) -> dict[str, str]:
        """Returns the text of each file."""
        return {name: manifest(resources, source) for name, (source, resources) in self.files.items()}


def rendering(directory: Path, regions: Path | None) -> Rendering:
    """Renders the services below `directory` and the hosts in the file `regions`.

    Raises `CliError` with every problem of each.
    """
    catalog = service_catalog(directory)
    files = {f"{name}.yaml": (catalog.files[name], made) for name, made in render_all(catalog).items()}
    if regions is not None:
        source = _name_of(regions)
        for name, host in sorted(_regional_hosts(regions).items()):
            # No name of a service has a dot.
            files[f"{name}.regions.yaml"] = (source, render_regions(name, host, source=source))
    return Rendering(catalog=catalog, files=files)


def service_catalog(directory: Path) -> ServiceCatalog:
    """Reads all service files below `directory`. Raises `CliError` with every problem of all of them."""
    if not directory.is_dir():
        raise CliError(f"{directory} is no folder", code=Exit.USAGE)
    files = [path for path in directory.rglob("*") if path.suffix in SUFFIXES and path.is_file()]
    if not files:
        raise CliError(f"{directory} has no service files: no .yaml", code=Exit.USAGE)
    folder = directory.resolve()
    with _problems(directory):
        return read_services(
            {f"{folder.name}/{path.resolve().relative_to(folder)}": path.read_bytes() for path in files}
        )


def _regional_hosts(file: Path) -> dict[str, RegionalHost]:
    with _problems(file):
        return read_regions(_name_of(file), file.read_bytes())


def _name_of(file: Path) -> str:
    """Returns the name of a file with its folder's: the same from wherever a command is run."""
    return "/".join(file.resolve().parts[-2:])


@contextmanager
def _problems(path: Path) -> Iterator[None]:
    try:
        yield
    except MeshError as error:
        lines = [str(problem) for problem in error.problems]
        more = (f"... and {len(lines) - SHOWN_PROBLEMS} more",) if len(lines) > SHOWN_PROBLEMS else ()
        shown = (*lines[:SHOWN_PROBLEMS], *more)
        raise CliError(f"{path} cannot be used", lines=shown, code=Exit.USAGE) from error


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
