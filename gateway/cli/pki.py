"""`waypost pki`: makes and checks the TLS certificates of a gateway and its clusters."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, NamedTuple

from cyclopts import App, Parameter

from gateway.cli.errors import CliError, Exit
from gateway.cli.output import command, console
from waypost import pki, tls
from waypost.tls import PkiError

app = App(
    name="pki",
    synonym=("certificates", "certs"),
    help="Certificates for the connections between the gateway and its clusters.",
)
Folder = Annotated[
    Path, Parameter(help="Where the root and the certificates are. Its *.key files are secrets.")
]


class WantedCertificate(NamedTuple):
    """A certificate that `waypost pki init` makes by calling `issue`, unless `path` has a valid one."""

    name: str
    path: Path
    issue: Callable[[], object]


@app.command
@command
def init(
    directory: Folder, /, *regions: Annotated[str, Parameter(help="Names of regions, each with a cluster.")]
) -> None:
    """Make a root certificate, and certificates for a gateway and the named regions.

    An existing root is kept, not replaced.
    """
    done: dict[str, list[str]] = {"made": [], "kept": []}
    try:
        for name, path, issue in _wanted_certificates(directory, regions):
            before = _content(path)
            issue()
            done["kept" if _content(path) == before else "made"].append(name)
    except PkiError as error:
        raise CliError(str(error), code=Exit.USAGE) from error
    for what, names in done.items():
        if names:
            console().print(f"{directory}: {what} {', '.join(names)}", markup=False)


def _wanted_certificates(directory: Path, regions: Sequence[str]) -> list[WantedCertificate]:
    """Returns the certificates that `init` makes: the root first, since it signs the others."""
    gateway = tls.gateway_credentials(directory).certificate
    wanted = [
        WantedCertificate("root", directory / "ca.pem", partial(_create_root, directory)),
        WantedCertificate("gateway", gateway, partial(pki.issue_gateway, directory)),
    ]
    for region in regions:
        path = tls.cluster_credentials(directory, region).certificate
        wanted.append(WantedCertificate(region, path, partial(pki.issue_cluster, directory, region)))
    return wanted


def _create_root(directory: Path) -> None:
    # never replaced: all certificates that it signed would become worthless
    if not (directory / "ca.pem").exists():
        pki.create_root(directory)


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None


@app.command
@command
def verify(directory: Folder, /) -> int | None:
    """Check a folder of certificates and print every problem; exit code 1 if there is any."""
    problems = pki.verify(directory)
    for problem in problems:
        console().print(problem, markup=False)
    if not problems:
        console().print(f"ok: {directory}", markup=False)
    return Exit.FAILED if problems else None
