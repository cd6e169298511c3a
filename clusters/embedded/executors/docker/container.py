"""Describes the container of a try: image, command, environment, mounts, limits. Pure."""

import os
from pathlib import Path
from typing import Annotated, Any, Final

from msgspec import Meta, Struct

from clusters.embedded.executors.docker.run_type import DockerRun
from clusters.embedded.executors.process.sandbox.task_user import user_of as task_user
from clusters.embedded.scheduling.launch import Launch
from waypost.workflow.run_types import argument_text

WORKSPACE: Final = "/waypost/workspace"
EXCHANGE: Final = "/waypost/io"
SECRETS: Final = "/waypost/secrets"
LEAST_CPU: Final = 0.01
CLUSTER_LABEL: Final = "waypost.workspaces"
"""The label of all containers of one cluster: the folder of its workspaces."""
BOOT_LABEL: Final = "waypost.boot"
"""The label of all containers of one life of a cluster's process."""


class DockerSettings(Struct, frozen=True, kw_only=True):
    """The settings of the executor of `docker` tasks: the engine, and what containers may do and take."""

    socket: str = "/var/run/docker.sock"
    """The Unix socket of the engine: of a Docker Engine, or of `podman system service`."""
    user: Annotated[str, Meta(pattern=r"^([0-9]{1,10}:[0-9]{1,10})?$")] = ""
    """UID:GID of the processes in containers.

    Empty: the cluster's own, which owns the workspaces; of root's cluster one for each tenant, as for
    `process` tasks in their sandbox.
    """
    networks: tuple[str, ...] = ()
    """The networks that tasks may name in `run.network`, beside `none`."""
    registries: tuple[str, ...] = ()
    """The registries from which a missing image is downloaded; none by default."""
    memory_mib: Annotated[int, Meta(ge=8, le=1_048_576)] = 2_048
    """The memory of a container whose task names none in `resources.memoryMiB`."""
    processes: Annotated[int, Meta(ge=8, le=1_000_000)] = 512
    """The most processes and threads of a container."""
    temporary_mib: Annotated[int, Meta(ge=1, le=1_048_576)] = 64
    """The size of /tmp in a container. What is there counts as its memory."""
    grace_seconds: Annotated[int, Meta(ge=0, le=600)] = 2
    """The seconds that a container gets to end after SIGTERM, before SIGKILL."""


def user_of(launch: Launch, settings: DockerSettings) -> tuple[int, int]:
    """Returns the numbers of the user and the group that the processes in a try's container run as."""
    if settings.user:
        uid, gid = settings.user.split(":")
        return int(uid), int(gid)
    if os.geteuid() == 0:
        user = task_user(launch.fairness_key)
        return user, user
    return os.getuid(), os.getgid()


def memory_mib(launch: Launch, settings: DockerSettings) -> int:
    """Returns the memory that the container of a try may use."""
    return launch.task.resources.memory_mib or settings.memory_mib


def describe_container(
    launch: Launch,
    run: DockerRun,
    settings: DockerSettings,
    *,
    region: str,
    workspace: Path,
    exchange: Path,
    secrets: Path | None,
    labels: dict[str, str],
) -> dict[str, Any]:
    """Builds the description of a try's container, as the engine takes it.

    `exchange` is the folder of the try's input and output, `secrets` that of its secrets. Nothing but the
    former, the workspace and /tmp can be written; there is no network but the one asked for, no capability.
    """
    attempt, (uid, gid) = launch.attempt, user_of(launch, settings)
    mounts = [_mount(workspace, WORKSPACE), _mount(exchange, EXCHANGE)]
    if secrets is not None:
        mounts.append(_mount(secrets, SECRETS, read_only=True))
    return {
        "Image": run.image,
        **({"Cmd": [argument_text(word) for word in run.command]} if run.command else {}),
        **(
            {} if run.entrypoint is None else {"Entrypoint": [argument_text(word) for word in run.entrypoint]}
        ),
        "Env": [f"{name}={value}" for name, value in _environment(launch, run, region).items()],
        "WorkingDir": WORKSPACE,
        "User": f"{uid}:{gid}",
        "Labels": labels
        | {"waypost.run": attempt.run, "waypost.task": launch.task.name, "waypost.shard": str(attempt.shard)},
        "HostConfig": {"NetworkMode": run.network, "Mounts": mounts, **_limits(launch, settings)},
    }


def _limits(launch: Launch, settings: DockerSettings) -> dict[str, Any]:
    """Returns what bounds a container: its rights, its memory, its processors, its processes."""
    memory = memory_mib(launch, settings) << 20
    # An engine refuses more processors than the machine has; a cluster may be set to have more.
    cpu = max(LEAST_CPU, min(launch.task.resources.cpu, float(os.cpu_count() or 1)))
    return {
        "ReadonlyRootfs": True,
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges"],
        "Privileged": False,
        "Tmpfs": {"/tmp": f"rw,nosuid,nodev,size={settings.temporary_mib}m,mode=1777"},  # noqa: S108
        "Memory": memory,
        "MemorySwap": memory,
        "NanoCpus": round(cpu * 1e9),
        "PidsLimit": settings.processes,
        # Its output is copied by us: the engine's own copy would fill its disk.
        "LogConfig": {"Type": "none", "Config": {}},
        "RestartPolicy": {"Name": "no"},
    }


def _mount(source: Path, target: str, *, read_only: bool = False) -> dict[str, Any]:
    return {"Type": "bind", "Source": str(source), "Target": target, "ReadOnly": read_only}


def _environment(launch: Launch, run: DockerRun, region: str) -> dict[str, str]:
    attempt = launch.attempt
    return {
        "HOME": WORKSPACE,
        "TMPDIR": "/tmp",  # noqa: S108
        **(launch.span.environment if launch.span is not None and "TRACEPARENT" not in run.env else {}),
        **{name: argument_text(value) for name, value in run.env.items()},
        "WAYPOST_INPUT": f"{EXCHANGE}/input.json",
        "WAYPOST_OUTPUT": f"{EXCHANGE}/output.json",
        **({"WAYPOST_SECRETS": SECRETS} if launch.secrets.files else {}),
        "WAYPOST_WORKSPACE": WORKSPACE,
        "WAYPOST_REGION": region,
        "WAYPOST_RUN": attempt.run,
        "WAYPOST_SHARD": str(attempt.shard),
        "WAYPOST_EPOCH": str(attempt.epoch),
        "WAYPOST_TASK": launch.task.name,
        "WAYPOST_TRY": str(launch.tries),
    }
