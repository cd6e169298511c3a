"""`waypost convert`: converts a recorded workflow in WfFormat to a Waypost workflow document."""

import sys
from typing import Annotated, Final, Literal

import msgspec
from cyclopts import Parameter

from clusters.registry import executors_at
from gateway.cli.arguments import Format
from gateway.cli.documents import JSON, YAML, document_error, read_bytes, read_value
from gateway.cli.output import command, console, serialize
from gateway.core.errors import GatewayError
from gateway.documents.checks import check
from gateway.documents.parsing import parse
from gateway.documents.wfformat import from_wfformat
from gateway.settings import DocumentLimits

EXECUTORS: Final = executors_at([])
"""The executors of every kind of cluster, as no gateway is asked for its own."""


@command
def convert(
    file: Annotated[
        str, Parameter(name=["--file", "-f"], help="A WfFormat 1.5 instance; - reads standard input.")
    ],
    *,
    scale: Annotated[float, Parameter(help="What a recorded second of run time becomes.")] = 1.0,
    output: Annotated[
        Literal["yaml", "json"], Parameter(name=["--output", "-o"], help="How to write the document.")
    ] = "yaml",
) -> None:
    """Convert a recorded workflow (WfFormat 1.5) to a document that can be submitted.

    Lists on standard error which recorded fields the document does not carry, and which names it changes.
    """
    recording = read_value(file, read_bytes(file), JSON)
    try:
        converted = from_wfformat(recording, scale=scale)
        workflow = converted.workflow
        # Checked here: who is refused on submitting it later does not know any more where it came from.
        if errors := check(workflow, msgspec.json.encode(workflow), DocumentLimits(), EXECUTORS):
            raise document_error(f"{file} makes no document that a gateway would take", errors)
        text = serialize(msgspec.to_builtins(workflow), Format(output))
        parse(text.encode(), JSON if output == "json" else YAML, DocumentLimits())
    except GatewayError as error:
        raise document_error(error.detail, error.errors) from error
    sys.stdout.write(text)
    for lost in converted.left_out:
        console(stderr=True).print(f"left out: {lost.pointer}: {lost.detail}", markup=False)
    for changed in converted.renamed:
        console(stderr=True).print(f"changed: {changed.pointer}: {changed.detail}", markup=False)
