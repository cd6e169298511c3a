"""`waypost cluster`: runs the embedded scheduler cluster of one region."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import Parameter

from clusters.embedded.artifacts.settings import artifact_settings
from clusters.embedded.machine_memory import machine_memory_mib
from clusters.embedded.main import ClusterSettings, run_cluster
from clusters.embedded.queueing.policies import QueuePolicy
from clusters.embedded.queueing.queue_settings import DEFAULT_QUEUE, QueueSettings
from clusters.embedded.secrets.providers import SecretSettings
from gateway.cli.errors import CliError
from gateway.cli.output import command

CPU = float(os.cpu_count() or 1)
MEMORY_MIB = machine_memory_mib()
Processors = Annotated[float, Parameter(help="Processors that tasks may ask for at once.")]
Memory = Annotated[int, Parameter(help="MiB of memory that tasks may ask for at once.")]
Policy = Annotated[QueuePolicy, Parameter(help="The order of one tenant's ready tasks.")]
AgingSeconds = Annotated[
    float, Parameter(help="After so long a task is overdue: each tenth start goes to the oldest such task.")
]
QueueTasks = Annotated[int, Parameter(help="While so many tasks wait, the cluster takes no further attempt.")]
Rates = Annotated[
    dict[str, float] | None,
    Parameter(help="Starts a second of one tenant's tasks of an executor, as --queue-rate.process=20."),
]

ExecutorSettings = Annotated[
    dict[str, dict[str, str]] | None,
    Parameter(help="A setting of an executor, as --executor.process.grace_seconds=10."),
]
MetricsPort = Annotated[
    int | None, Parameter(help="The port of /metrics, without certificates; 0: any free one.")
]
TracingEndpoint = Annotated[
    str | None, Parameter(help="Where OpenTelemetry spans are sent, as http://127.0.0.1:4318/v1/traces.")
]
Secrets = Annotated[
    dict[str, str] | None,
    Parameter(help="Where tasks' secrets are: --secrets.files=FOLDER or --secrets.environment=SECRET_."),
]
Storages = Annotated[
    dict[str, dict[str, str]] | None,
    Parameter(
        help="A setting of a storage of artifacts, as --storage.exports.folder=/srv/exports and "
        "--storage.exports.write=true."
    ),
]
Artifacts = Annotated[
    dict[str, str] | None,
    Parameter(help="The most MiB and seconds of one artifact, and transfers at once: --artifacts.mib=1024."),
]
TrustedTenants = Annotated[
    bool,
    Parameter(
        negative="",
        help="Take tasks of many tenants also where there is no sandbox: each can then do what all can.",
    ),
]
Adopt = Annotated[
    bool,
    Parameter(
        negative="",
        help="Work for the gateway that calls first, where the store of the one before is lost for good.",
    ),
]


@command
def cluster(
    *,
    region: Annotated[str, Parameter(help="Its name; the certificate is that of this region.")],
    state: Annotated[Path, Parameter(help="Journal, workspaces and logs.")],
    pki: Annotated[Path, Parameter(help="Folder of the certificates that `waypost pki init` makes.")],
    host: Annotated[str, Parameter(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, Parameter(help="The port to listen on; 0: any free one.")] = 7101,
    metrics_host: Annotated[str, Parameter(help="The address of /metrics, for the inside.")] = "127.0.0.1",
    metrics_port: MetricsPort = None,
    tracing_endpoint: TracingEndpoint = None,
    cpu: Processors = CPU,
    memory_mib: Memory = MEMORY_MIB,
    slots: Annotated[int, Parameter(help="Attempts held at once.")] = 2_000,
    queue_policy: Policy = DEFAULT_QUEUE.policy,
    queue_aging_seconds: AgingSeconds = DEFAULT_QUEUE.aging_seconds,
    queue_tasks: QueueTasks = DEFAULT_QUEUE.tasks,
    queue_rate: Rates = None,
    executor: ExecutorSettings = None,
    secrets: Secrets = None,
    storage: Storages = None,
    artifacts: Artifacts = None,
    trusted_tenants: TrustedTenants = False,
    adopt: Adopt = False,
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
            memory_mib=memory_mib,
            slots=slots,
            queue=_queue(queue_policy, queue_aging_seconds, queue_tasks, queue_rate or {}),
            secrets=msgspec.convert(secrets or {}, SecretSettings),
            artifacts=artifact_settings(storage or {}, artifacts or {}),
            executors=executor or {},
            trusted_tenants=trusted_tenants,
            adopt=adopt,
        )
    except ValueError as error:
        raise CliError(f"the cluster of {region} cannot run: {error}") from error
    return run_cluster(settings)


def _queue(
    policy: QueuePolicy, aging_seconds: float, tasks: int, rates: Mapping[str, float]
) -> QueueSettings:
    return QueueSettings(policy=policy, aging_seconds=aging_seconds, tasks=tasks, rates=rates)
