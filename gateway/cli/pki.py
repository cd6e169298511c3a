"""`waypost pki`: certificates for the road between gateway and clusters."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from gateway.cli.client import CliError, Exit
from gateway.cli.output import command, console
from waypost import pki, tls
from waypost.tls import PkiError

app = App(name="pki", help="Certificates for the road between the gateway and its clusters.")
Folder = Annotated[
    Path, Parameter(help="Where the root and the certificates are. Its *.key files are secrets.")
]


@app.command
@command
def init(
    directory: Folder, /, *regions: Annotated[str, Parameter(help="Names of regions, each with a cluster.")]
) -> None:
    """Make a root, and certificates for a gateway and the named regions. An existing root is kept, not replaced."""
    done: dict[str, list[str]] = {"made": [], "kept": []}
    try:
        wanted: list[tuple[str, Path, Callable[[], object]]] = [
            ("root", directory / "ca.pem", partial(_root, directory)),
            (
                "gateway",
                tls.gateway_credentials(directory).certificate,
                partial(pki.issue_gateway, directory),
            ),
        ]
        for region in regions:
            certificate = tls.cluster_credentials(directory, region).certificate
            wanted += [(region, certificate, partial(pki.issue_cluster, directory, region))]
        for name, certificate, make in wanted:
            before = _content(certificate)
            make()
            done["kept" if _content(certificate) == before else "made"].append(name)
    except PkiError as error:
        raise CliError(str(error), code=Exit.USAGE) from error
    for what, names in done.items():
        if names:
            console().print(f"{directory}: {what} {', '.join(names)}", markup=False)


def _root(directory: Path) -> None:
    if not (directory / "ca.pem").exists():
        pki.create_root(directory)


def _content(file: Path) -> bytes | None:
    return file.read_bytes() if file.exists() else None


@app.command
@command
def verify(directory: Folder, /) -> int | None:
    """Say all that is wrong with a folder of certificates; exit code 1 if anything is."""
    problems = pki.verify(directory)
    for problem in problems:
        console().print(problem, markup=False)
    if not problems:
        console().print(f"ok: {directory}", markup=False)
    return Exit.FAILED if problems else None
