"""Tests ways out of a sandbox that hostile tasks try: calls of the kernel, outputs, sockets, deaf daemons.

On a cluster of root, whose tasks are users of their own or root without privileges, and of an ordinary user.
"""

import errno
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clusters.embedded.executors.process.sandbox.isolated_cluster import (
    CANARY,
    Cluster,
    cluster_of,
    needs_sandbox,
    task,
)

pytestmark = [pytest.mark.integration, needs_sandbox]
PYTHON = "/usr/bin/python3"
KERNEL = r"""
import ctypes, json, os
libc = ctypes.CDLL(None, use_errno=True)
def fault_of(*call):
    return ctypes.get_errno() if libc.syscall(*call) < 0 else 'done'
def opened(path):
    try:
        os.close(os.open(path, os.O_WRONLY))
    except OSError: return False
    return True
def lowers(value):
    try:
        with open('/proc/self/oom_score_adj', 'w') as file: file.write(value)
    except OSError: return False
    return True
def links(folder):
    found = []
    for name in os.listdir(folder):
        try: found.append(os.readlink(f'{folder}/{name}'))
        except OSError: pass
    return sorted(link for link in found if not link.startswith('/proc/'))
def held_by_init():
    try: return links('/proc/1/fd')
    except OSError: return []
places = ['/sys/kernel/uevent_helper', '/dev/mem', '/dev/kmsg', '/dev/vda']
for top, folders, files in os.walk('/proc'):
    own = ('self', 'thread-self', 'net', 'pressure')   # what is of one process, and what is for everybody
    folders[:] = [name for name in folders if top != '/proc' or not (name.isdigit() or name in own)]
    # Everybody may open that one; a write to it asks for a capability.
    places += [os.path.join(top, name) for name in files if name != 'ns_last_pid']
found = {
    'descriptors': links('/proc/self/fd'),
    'of init': held_by_init(),
    'io_uring': fault_of(425, 8, bytes(120)),
    'writable': [place for place in places if opened(place)],
    'unkillable': lowers('-1'),
    'sys': os.path.exists('/sys/kernel'),
}
json.dump(found, open(os.environ['WAYPOST_OUTPUT'], 'w'))
"""
STOPS_INIT = r"""
import ctypes, os, signal, time
libc = ctypes.CDLL(None, use_errno=True)
for number in (signal.SIGSTOP, signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV):
    try: os.kill(1, number)
    except OSError: pass
libc.syscall(117 if os.uname().machine == 'aarch64' else 101, 0x4206, 1, 0, 0)   # PTRACE_SEIZE
libc.syscall(117 if os.uname().machine == 'aarch64' else 101, 0x4207, 1, 0, 0)   # PTRACE_INTERRUPT
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for number in range(1, 65):
            try: signal.signal(number, signal.SIG_IGN)
            except (OSError, ValueError): pass
        os.closerange(0, 1_000)
        while True: time.sleep(1)
    os._exit(0)
os.closerange(0, 1_000)
while True: time.sleep(1)
"""
OUTPUTS = {
    "pipe": ('mkfifo "$WAYPOST_OUTPUT"', "the output is no regular file"),
    "link to a key": ('ln -s KEY "$WAYPOST_OUTPUT"', "the output is a link, no file"),
    "link to itself": ('ln -s "$WAYPOST_OUTPUT" "$WAYPOST_OUTPUT"', "the output is a link, no file"),
    "folder": ('mkdir "$WAYPOST_OUTPUT"', "the output is no regular file"),
    "sparse": ('truncate -s 5G "$WAYPOST_OUTPUT"', "the output has more than 64 KiB"),
    "unreadable": ('echo 1 > "$WAYPOST_OUTPUT"; chmod 000 "$WAYPOST_OUTPUT"', None),
    "deep": (
        "head -c 60000 /dev/zero | tr '\\0' '[' > \"$WAYPOST_OUTPUT\"",
        "the output is nested more than",
    ),
    "socket": (
        f'{PYTHON} -c \'import os, socket; os.chdir(os.environ["TMPDIR"]);'
        ' socket.socket(socket.AF_UNIX).bind(os.path.basename(os.environ["WAYPOST_OUTPUT"]))\'',
        "the output cannot be read: No such device or address",
    ),
}
LOOPBACK = r"""
import json, os, socket, sys
def reached(family, address):
    with socket.socket(family) as one:
        try: one.connect(address)
        except OSError: return False
        return True
tcp = ('127.0.0.1', int(sys.argv[2]))
found = [reached(socket.AF_UNIX, chr(0) + sys.argv[1]), reached(socket.AF_INET, tcp)]
json.dump(found, open(os.environ['WAYPOST_OUTPUT'], 'w'))
"""


@pytest.fixture(params=["root", "of root", "user"])
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    with cluster_of(request.param) as cluster:
        yield cluster


def test_it_gets_nothing_from_the_kernel(cluster: Cluster) -> None:
    """No file that its cluster has open, no ring past the filter of its calls, no setting of the machine."""
    ended = cluster.run({"run": [task("a", PYTHON, "-c", KERNEL)]})["run"]["a"]

    assert ended.phase == "Succeeded", ended
    log = str(next(cluster.state.rglob("a.log")))
    # Not the file in which bubblewrap says what the cluster is to signal and to wait for.
    assert "/memfd:status" not in " ".join(ended.output.pop("of init"))
    assert ended.output == {
        "descriptors": ["/dev/null", log, log],
        "io_uring": errno.ENOSYS,
        "writable": [],
        "unkillable": False,
        "sys": False,
    }


def test_it_ends_in_time_whatever_it_does_to_its_own_processes(cluster: Cluster) -> None:
    """Stops, traces and signals the first of them, leaves its session twice, closes all files, is deaf."""
    name = f"{cluster.folder.name}-deaf"
    hostile = task("a", PYTHON, "-c", STOPS_INIT, name, timeoutSeconds=4)
    ended = cluster.run({"run": [hostile], "modest": [task("a", "sleep", "1")]})

    assert ended["run"]["a"].phase == "Failed"
    assert ended["run"]["a"].reason == "timed out after 4 s"
    assert ended["modest"]["a"].phase == "Succeeded"
    assert [entry for entry in Path("/proc").glob("[0-9]*/cmdline") if _has(entry, name.encode())] == []


def _has(path: Path, text: bytes) -> bool:
    try:
        return text in path.read_bytes()
    except OSError:
        return False


def test_an_output_that_is_no_file_is_refused(cluster: Cluster) -> None:
    """Nothing is read through it, and nobody waits for it."""
    key = cluster.state / "pki" / "cluster.key"
    runs = {
        f"run-{number}": [task("a", "sh", "-c", script.replace("KEY", str(key)))]
        for number, (script, _) in enumerate(OUTPUTS.values())
    }
    ended = cluster.run(runs)

    for number, (name, (_, reason)) in enumerate(OUTPUTS.items()):
        found = ended[f"run-{number}"]["a"]
        if reason is not None:
            assert (name, found.phase) == (name, "Failed")
            assert found.reason.startswith(reason), name
        assert CANARY not in str(found)


@pytest.mark.parametrize("network", [True, False])
def test_a_network_that_is_turned_off_has_no_loopback_and_no_abstract_sockets(
    cluster: Cluster, network: bool
) -> None:
    """Where it is on, tasks reach what listens there, as any process of the machine does."""
    name = f"waypost-{cluster.folder.name}"
    with socket.socket(socket.AF_UNIX) as abstract, socket.create_server(("127.0.0.1", 0)) as local:
        abstract.bind("\0" + name)
        abstract.listen()
        port = str(local.getsockname()[1])
        ended = cluster.run({"run": [task("a", PYTHON, "-c", LOOPBACK, name, port)]}, network=network)

    assert ended["run"]["a"].output == [network, network]
