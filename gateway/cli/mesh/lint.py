"""`waypost mesh lint`: finds the hazards of any of Istio's resources in files."""

from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import Parameter

from gateway.cli.arguments import Format, Output
from gateway.cli.documents import read_bytes
from gateway.cli.errors import CliError, Exit
from gateway.cli.mesh.folders import SUFFIXES
from gateway.cli.output import command, format_count, print_value
from gateway.mesh.checks import ROOT_NAMESPACE
from gateway.mesh.hazards import find_hazards
from gateway.mesh.manifest import ManifestError, parse_manifest
from gateway.mesh.rendering import Resource


@command
def lint(
    *paths: Annotated[str, Parameter(help="YAML files, or folders of them; - reads standard input.")],
    tcp_port: Annotated[
        tuple[int, ...],
        Parameter(negative="", help="A port that is not HTTP, beside those of Services in the files."),
    ] = (),
    root_namespace: Annotated[str, Parameter(help="Of the mesh.")] = ROOT_NAMESPACE,
    output: Output = Format.TABLE,
) -> int:
    """Find in Istio's resources what lets in more than it seems to, or nobody; exit code 1 if there is any.

    All files are taken together: a policy in one may be what another lacks.
    """
    if not paths:
        raise CliError("name the files to look at, or -", code=Exit.USAGE)
    resources = [one for path in paths for file in _files(path) for one in _resources(file)]
    found = find_hazards(resources, tcp_ports=frozenset(tcp_port), root_namespace=root_namespace)
    if output is Format.NAME:
        print("\n".join(sorted({one.hazard for one in found})))
    elif output is not Format.TABLE:
        print_value(msgspec.to_builtins(found), output)
    else:
        for one in found:
            print(one)
        print(f"{format_count(len(resources), 'resource')}: {format_count(len(found), 'hazard')}")
    return Exit.FAILED if found else Exit.DONE


def _files(path: str) -> list[str]:
    if not Path(path).is_dir():
        return [path]
    return [str(file) for file in sorted(Path(path).rglob("*")) if file.suffix in SUFFIXES and file.is_file()]


def _resources(file: str) -> list[Resource]:
    try:
        return parse_manifest(read_bytes(file))
    except ManifestError as error:
        raise CliError(f"{file} {error}", code=Exit.USAGE) from error
