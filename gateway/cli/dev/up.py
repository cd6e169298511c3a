"""`waypost up`: runs a gateway and its regions on this machine, for development, until Ctrl-C."""

import asyncio
import errno
import fcntl
import os
import shlex
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Annotated, Final

from cyclopts import Parameter
from cyclopts.validators import Number

from clusters.embedded.executors.process.sandbox.command_line import Sandbox
from clusters.embedded.executors.process.sandbox.probe import make_sandbox
from clusters.embedded.executors.process.settings import ProcessSettings
from clusters.embedded.queueing.queue_settings import DEFAULT_QUEUE
from gateway.cli.cluster import ExecutorSettings, Policy, Storages
from gateway.cli.dev.holders import holder_of_port, holders_of_folder, is_stopped, kill_command
from gateway.cli.dev.opa_program import OLDEST, find_opa
from gateway.cli.dev.permitted_regions import nowhere_permitted
from gateway.cli.dev.region_folders import remove_regions, set_regions_apart
from gateway.cli.dev.stack import ROUND_TRIPS, Stack
from gateway.cli.errors import CliError, Exit
from gateway.cli.output import command, console, table
from gateway.settings_loading import NOT_SETTINGS, PREFIX
from waypost import tls
from waypost.cancellation import cancel_and_wait
from waypost.files.permissions import make_private_folder, write_private

PORT_RANGE: Final = Number(gte=0, lte=65_535)
Processors = Annotated[
    float,
    Parameter(
        validator=Number(gt=0, lte=100_000), help="Processors that each region's tasks may ask for at once."
    ),
]
Secrets = Annotated[
    Path | None, Parameter(help="Folder of the secrets of tasks, for every region: demo/token is a file.")
]
StateFolder = Annotated[Path, Parameter(help="Folder for everything: stores, certificates, logs.")]
PID_FILE: Final = "up.pid"
"""The name of the file in a stack's folder with the process id of the `waypost up` that has locked it."""
STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
"""The signals that end the stack; SIGHUP too, as its terminal was closed."""


@command
def up(
    *,
    state: StateFolder = Path(".waypost"),
    region: Annotated[tuple[str, ...], Parameter(negative="", help="Names of the regions.")] = tuple(
        ROUND_TRIPS
    ),
    port: Annotated[int, Parameter(validator=PORT_RANGE, help="Of the API; 0: any free one.")] = 8080,
    metrics_port: Annotated[
        int, Parameter(validator=PORT_RANGE, help="Of health and metrics; 0: any free one.")
    ] = 9090,
    cpu: Processors = 8.0,
    queue_policy: Policy = DEFAULT_QUEUE.policy,
    opa: Annotated[
        bool, Parameter(negative="", help="Let a real OPA decide policy: that on PATH, or of `make opa`.")
    ] = False,
    secrets: Secrets = None,
    storage: Storages = None,
    executor: ExecutorSettings = None,
    fresh: Annotated[bool, Parameter(negative="", help="Forget what an earlier stack has stored.")] = False,
) -> int | None:
    """Start a gateway and its regions on this machine, for development.

    What dies is not restarted: the command that starts it again is printed. Everything runs as you, the tasks
    that are submitted included. Where this machine can make sandboxes, tasks can change the folder that you
    start this in, and nothing else of yours; otherwise they can read and change what you can.
    """
    _check_names(region)
    with _lock(state):
        _check_folder(state)
        if fresh:
            remove_regions(state)
            _clear_state(state, sys.stderr)
        _check_free(port, "--port")
        _check_free(metrics_port, "--metrics-port", port)
        set_regions_apart(state)
        program, shared = _opa() if opa else None, _shared_folders()
        stack = Stack(
            state,
            region,
            port=port,
            metrics_port=metrics_port,
            cpu=cpu,
            queue_policy=queue_policy,
            opa=program,
            secrets=secrets,
            storages=storage,
            shared=shared,
            executors=executor,
        )
        return asyncio.run(_up(stack))


def _shared_folders() -> tuple[Path, ...]:
    """Returns the folders that tasks may change in sandboxes: the working folder, unless that is home or `/`.

    Without sandboxes they can change what this user can, and need not learn where the stack is.
    """
    here = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        possible = isinstance(make_sandbox(ProcessSettings(), Path(folder), ()), Sandbox)
    return (here,) if possible and not Path.home().is_relative_to(here) else ()


def _clear_state(state: Path, log: IO[str]) -> None:
    """Empties the folder of an earlier stack. The folder itself stays, since this process has locked it."""
    print(f"emptying {state}", file=log)
    for path in state.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _opa() -> Path:
    program = find_opa()
    if program is None:
        raise CliError(
            f"there is no opa of version {'.'.join(map(str, OLDEST))} or newer on PATH",
            lines=("Install one, or build it with `make opa`.",),
            code=Exit.USAGE,
        )
    return program


def _check_names(regions: Sequence[str]) -> None:
    for name in regions:
        if not tls.REGION.fullmatch(name) or name in ("gateway", "opa"):
            raise CliError(
                f"--region {name}: a name has lower-case letters, digits, dashes, and is not gateway or opa",
                code=Exit.USAGE,
            )
        if regions.count(name) > 1:
            raise CliError(f"--region {name} is there {regions.count(name)} times", code=Exit.USAGE)


@contextmanager
def _lock(state: Path) -> Iterator[None]:
    """Locks the folder `state` for this process; raises `CliError` if another process has locked it.

    Two stacks in one folder would write over each other.
    """
    make_private_folder(state)
    folder = os.open(state, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        write_private(state / PID_FILE, str(os.getpid()).encode())
        yield
    except BlockingIOError as error:
        raise CliError(
            f"a stack already runs in {state}", lines=_how_to_end(state), code=Exit.UNAVAILABLE
        ) from error
    finally:
        os.close(folder)


def _how_to_end(state: Path) -> tuple[str, ...]:
    """Returns lines that name the `waypost up` that has locked `state`, and how to end it."""
    try:
        pid = int((state / PID_FILE).read_text())
    except (OSError, ValueError):
        return ("Ctrl-C in its terminal ends it, or choose another folder with --state.",)
    end = kill_command([pid])
    if is_stopped(pid):
        return (
            f"It is process {pid}, which is stopped: `fg` in its terminal continues it, `{end}` ends it.",
        )
    return (f"It is process {pid}: Ctrl-C in its terminal ends it, or `{end}`.",)


def _check_folder(state: Path) -> None:
    """Raises `CliError` if processes of an earlier stack, whose `waypost up` was killed, still use `state`.

    Those processes would hold the ports and the stores that the new stack needs.
    """
    if holders := holders_of_folder(state):
        raise CliError(
            f"processes of an earlier stack still run in {state}",
            lines=(
                *map(str, holders),
                f"End them with `{kill_command([holder.pid for holder in holders])}`, then try again.",
            ),
            code=Exit.UNAVAILABLE,
        )


def _check_free(port: int, option: str, *others: int) -> None:
    """Raises `CliError` if the TCP port `port` is in use, or is among `others`, the stack's other ports.

    Otherwise the gateway's start would fail with nothing but "gateway did not start".
    """
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind(("127.0.0.1", port))
        except OSError as error:
            why = "is taken" if error.errno == errno.EADDRINUSE else f"cannot be had ({error.strerror})"
            holder = holder_of_port(port)
            lines = (str(holder), f"`{kill_command([holder.pid])}` ends it.") if holder else ()
            raise CliError(
                f"port {port} {why}: choose another with {option}", lines=lines, code=Exit.UNAVAILABLE
            ) from error
    if port and port in others:
        raise CliError(f"port {port} is asked for twice: choose another with {option}", code=Exit.USAGE)


async def _up(stack: Stack) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in STOP_SIGNALS:
        # under nohup SIGHUP is ignored, and stays so
        if signal.getsignal(number) is not signal.SIG_IGN:
            loop.add_signal_handler(number, stop.set)
    screen = console()
    screen.print("starting a gateway and its regions ...", markup=False)
    async with stack:
        rows: list[list[object]] = [
            ["gateway", stack.url, stack.metrics_url, stack.processes["gateway"].pid],
        ]
        if stack.opa:
            rows.append(["opa", stack.opa.engine, None, stack.processes["opa"].pid])
        for name in stack.regions:
            metrics = f"http://127.0.0.1:{stack.ready[name]['metrics_port']}"
            process = stack.processes[name].pid
            rows.append([name, f"127.0.0.1:{stack.proxies[name].port}", metrics, process])
        screen.print(table(["", "ADDRESS", "METRICS", "PROCESS"], rows))
        if delays := [ROUND_TRIPS[name] * 1e3 for name in stack.regions if name in ROUND_TRIPS]:
            screen.print(
                f"round trips of {min(delays):.0f} to {max(delays):.0f} ms are simulated", markup=False
            )
        if warning := nowhere_permitted(stack.regions, stack.configuration):
            screen.print(f"warning: {warning}", markup=False)
        screen.print(
            "ready: try `waypost submit examples/hello.yaml --watch` in another terminal; Ctrl-C ends it",
            markup=False,
        )
        watching = [asyncio.create_task(_print_end(stack, name)) for name in stack.processes]
        await stop.wait()
        await cancel_and_wait(watching)
        screen.print("stopping ...", markup=False)
        return 1 if stack.processes["gateway"].returncode is not None else 0


async def _print_end(stack: Stack, name: str) -> None:
    """Waits for the end of the stack's process `name`; prints that, and the command that starts it again."""
    code = await stack.processes[name].wait()
    console().print(
        f"{name} has ended with code {code}; its log: {stack.state / 'logs' / name}.log", markup=False
    )
    again = shlex.join(stack.start_command(name))
    console().print(f"start it again with: {again}", markup=False)
    settings = sorted(word for word in os.environ if word.startswith(PREFIX) and word not in NOT_SETTINGS)
    if name == "gateway" and settings:
        # Their values may be secrets. Without them it would run with other settings, without a word.
        console().print(f"in a terminal that has its settings: {', '.join(settings)}", markup=False)
