"""`waypost cluster`: runs the embedded scheduler cluster of one region."""

import os
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from clusters.embedded.main import ClusterSettings, run_cluster
from gateway.cli.errors import CliError
from gateway.cli.output import command


@command
def cluster(
    *,
    region: Annotated[str, Parameter(help="Its name; the certificate is that of this region.")],
    state: Annotated[Path, Parameter(help="Journal, workspaces and logs.")],
    pki: Annotated[Path, Parameter(help="Folder of the certificates that `waypost pki init` makes.")],
    host: Annotated[str, Parameter(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, Parameter(help="The port to listen on; 0: any free one.")] = 7101,
    metrics_host: Annotated[str, Parameter(help="The address of /metrics, for the inside.")] = "127.0.0.1",
    metrics_port: Annotated[
        int | None, Parameter(help="The port of /metrics, without certificates; 0: any free one.")
    ] = None,
    tracing_endpoint: Annotated[
        str | None, Parameter(help="Where OpenTelemetry spans are sent, as http://127.0.0.1:4318/v1/traces.")
    ] = None,
    cpu: Annotated[float, Parameter(help="Processors that tasks may ask for at once.")] = float(
        os.cpu_count() or 1
    ),
    slots: Annotated[int, Parameter(help="Attempts held at once.")] = 2_000,
    executor: Annotated[
        dict[str, dict[str, str]] | None,
        Parameter(help="A setting of an executor, as --executor.process.grace_seconds=10."),
    ] = None,
    adopt: Annotated[
        bool,
        Parameter(
            negative="",
            help="Work for the gateway that calls first, where the store of the one before is lost for good.",
        ),
    ] = False,
) -> int:
    """Run the embedded scheduler cluster of one region."""
    try:
        settings = ClusterSettings(
            region=region,
            state=str(state),
            pki=str(pki),
            host=host,
            port=port,
            metrics_host=metrics_host,
            metrics_port=metrics_port,
            tracing_endpoint=tracing_endpoint,
            cpu=cpu,
            slots=slots,
            executors=executor or {},
            adopt=adopt,
        )
    except ValueError as error:
        raise CliError(f"the cluster of {region} cannot run: {error}") from error
    return run_cluster(settings)
