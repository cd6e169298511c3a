"""`waypost pki`: certificates for the road between gateway and clusters."""

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from gateway.cli.client import CliError, Exit
from gateway.cli.output import command, console
from waypost import pki

app = App(name="pki", help="Certificates for the road between the gateway and its clusters.")
Folder = Annotated[Path, Parameter(help="Where the root and the certificates are. Its *.key files are secrets.")]


@app.command
@command
def init(directory: Folder, /, *regions: str) -> None:
    """Make a root, and certificates for a gateway and the named regions. An existing root is kept, not replaced."""
    try:
        if not (directory / "ca.pem").exists():
            pki.create_root(directory)
        pki.issue_gateway(directory)
        for region in regions:
            pki.issue_cluster(directory, region)
    except (OSError, ValueError, pki.PkiError) as error:
        raise CliError(str(error)) from error
    console().print(f"{directory}: root, gateway{''.join(f', {region}' for region in regions)}", markup=False)


@app.command
@command
def verify(directory: Folder, /) -> int | None:
    """Say what is wrong with a folder of certificates; exit code 1 if anything is."""
    problems = pki.verify(directory)
    for problem in problems:
        console().print(problem, markup=False)
    return Exit.FAILED if problems else None
