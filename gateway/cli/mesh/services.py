"""`waypost mesh render|check|schema`: renders services into Istio's resources, and finds drift from them."""

from pathlib import Path
from typing import Annotated, Any

import msgspec
from cyclopts import App, Parameter

from gateway.cli.arguments import Format, Output
from gateway.cli.errors import CliError, Exit
from gateway.cli.mesh.evaluate import evaluate_request
from gateway.cli.mesh.folders import Regions, Services, found_files, rendering, write_files
from gateway.cli.mesh.lint import lint
from gateway.cli.mesh.live_objects import live_differences
from gateway.cli.output import command, console, format_count, print_names, print_value
from gateway.mesh.checks import ROOT_NAMESPACE
from gateway.mesh.drift import Difference, compare_files, name_of
from gateway.mesh.regions import RegionalHost
from gateway.mesh.service import Service

app = App(name="mesh", synonym=("istio",), help="Istio: who may reach which service, from YAML in Git.")
app.command(evaluate_request, name="evaluate")
app.command(lint)


@app.command
@command
def render(
    directory: Services,
    /,
    *,
    regions: Regions = None,
    folder: Annotated[
        Path | None,
        Parameter(name=("--folder", "-f"), help="Write a file for each service there. Default: print all."),
    ] = None,
    output: Annotated[Format, Parameter(name=["--output", "-o"], help="yaml, json or name")] = Format.YAML,
) -> int:
    """Render the services in DIRECTORY into Istio's resources: who may reach them, and nobody else."""
    made = rendering(directory, regions)
    if folder is not None:
        for line in write_files(folder, made.texts()):
            console().print(line, markup=False)
    elif output is Format.NAME:
        print_names(map(name_of, made.resources))
    elif output is Format.JSON:
        print_value(made.resources, output)
    else:
        print("---\n".join(made.texts().values()), end="")
    return Exit.DONE


@app.command
@command
def check(
    directory: Services,
    /,
    *,
    regions: Regions = None,
    rendered: Annotated[
        Path | None, Parameter(help="Compare with the folder that `render --folder` has written.")
    ] = None,
    live: Annotated[bool, Parameter(negative="", help="Compare with the objects of a cluster.")] = False,
    context: Annotated[
        str | None, Parameter(help="Which cluster of the kubeconfig. Default: the current one.")
    ] = None,
    root_namespace: Annotated[str, Parameter(help="Of the mesh, for --live.")] = ROOT_NAMESPACE,
    output: Output = Format.TABLE,
) -> int:
    """Compare the services in DIRECTORY with what was rendered, or a cluster; exit code 1 if they differ.

    With --live also what others have there counts: policies that let in to the same pods, and hazards.
    """
    if rendered is None and not live:
        raise CliError("say with what: --rendered FOLDER, --live, or both", code=Exit.USAGE)
    made = rendering(directory, regions)
    found: list[Difference] = []
    if rendered is not None:
        found += compare_files(made.texts(), found_files(rendered))
    if live:
        found += live_differences(made, context=context, root_namespace=root_namespace)
    _print(found, output)
    if output is Format.TABLE and not found:
        print(f"{format_count(len(made.catalog.services), 'service')}: all is as rendered")
    return Exit.FAILED if found else Exit.DONE


@app.command
@command
def schema(
    *,
    regions: Annotated[bool, Parameter(negative="", help="That of a file of regional hosts.")] = False,
) -> int:
    """Print the JSON Schema of a service file, for editors: it is made from the same types that read it."""
    described: dict[str, Any] = msgspec.json.schema(
        dict[str, RegionalHost] if regions else dict[str, Service]
    )
    print_value({"$schema": "https://json-schema.org/draft/2020-12/schema"} | described, Format.JSON)
    return Exit.DONE


def _print(differences: list[Difference], output: Format) -> None:
    if output is Format.NAME:
        print_names(one.name for one in differences)
        return
    if output is not Format.TABLE:
        print_value(msgspec.to_builtins(differences), output)
        return
    for one in differences:
        print(f"{one.name}: {one.change}")
        if one.diff:
            print(one.diff)
