"""The settings of the executor of `process` tasks: isolation, what a sandbox shows, limits, grace period."""

from typing import Annotated, Final, Literal, TypeAlias

from msgspec import Meta, Struct

AbsolutePath: TypeAlias = Annotated[str, Meta(pattern=r"^/.")]
MIB_MAXIMUM: Final = 1 << 30
Mebibytes: TypeAlias = Annotated[int, Meta(ge=0, le=MIB_MAXIMUM)]


class ProcessSettings(Struct, frozen=True, kw_only=True):
    """The settings of the executor of `process` tasks."""

    grace_seconds: Annotated[float, Meta(ge=0, le=600)] = 2.0
    """The seconds that a command gets to end after SIGTERM, before SIGKILL.

    A lease that expires kills at once all the same. A cluster that stops waits as long.
    """
    isolation: Literal["auto", "sandbox", "none"] = "auto"
    """Whether each try runs in a sandbox: `auto` where the machine can make one, `sandbox` or not at all."""
    own_user: bool = True
    """Whether tasks in the sandbox of root's cluster run as a user of their own, one for each tenant.

    Where false they run as root without privileges, so that they can write into folders of root's.
    """
    read_only: tuple[AbsolutePath, ...] = ("/opt",)
    """The folders that a task sees in its sandbox besides the system's."""
    writable: tuple[AbsolutePath, ...] = ()
    """The folders that all tasks see in their sandboxes and may change, as far as their user may."""
    hidden: tuple[AbsolutePath, ...] = ()
    """The folders that no task sees, although they lie in one that it is shown."""
    network: bool = True
    """Whether tasks in a sandbox use the network of the machine, its loopback included."""
    tmp_mib: Mebibytes = 256
    """The most MiB of a sandbox's `/tmp` and of its `/dev/shm`, which are in memory."""
    processes: Annotated[int, Meta(ge=0, le=4_194_304)] = 1_024
    """The most processes and threads of a try in its sandbox; 0 for any number."""
    memory_mib: Mebibytes = 0
    """The most MiB of memory of each process whose task names none; 0 for half of this machine's."""
    workspace_mib: Mebibytes = 10_240
    """The most MiB of a shard's workspace, and of one file of a task; 0 for any number."""
    cpu_seconds: Annotated[int, Meta(ge=0, le=1 << 31)] = 0
    """The most seconds that each process of a sandbox may use a processor; 0 for any number."""
