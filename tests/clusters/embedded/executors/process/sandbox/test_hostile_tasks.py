"""Tests hostile tasks on a cluster of root and on one of an ordinary user: what they reach, what bounds them.

Each is bounded by more than what is tested: by a time limit, by numbers of its own.
"""

import errno
import os
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
SEARCH = r"""
import os, signal, json
found, signalled, read = [], [], 0
for pid in range(1, 70000):
    if pid in (os.getpid(), os.getppid()): continue
    try:
        os.kill(pid, 0); signalled.append(pid)
    except OSError: pass
for top, folders, files in os.walk('/'):
    folders[:] = [name for name in folders if not (top == '/' and name in ('usr', 'sys'))]
    for name in files:
        path = os.path.join(top, name)
        if path.startswith(os.environ['WAYPOST_WORKSPACE']): continue
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
            try:
                read += 1
                if CANARY.encode() in os.read(descriptor, 1 << 20): found.append(path)
            finally: os.close(descriptor)
        except OSError: pass
json.dump({'found': found, 'signalled': signalled, 'read': read}, open(os.environ['WAYPOST_OUTPUT'], 'w'))
"""
WRITE = r"""
for place in / /usr /etc /dev /proc/sys/kernel /run /root /home /opt; do
  if touch "$place/waypost-$$" 2> /dev/null; then echo "wrote $place"; fi
done
# Above its folders is the sandbox's own /tmp, in memory: what is written there is gone after it.
touch "$WAYPOST_WORKSPACE/../above" "$TMPDIR/../above" "$WAYPOST_WORKSPACE/../../../pki/above" 2> /dev/null
touch "$WAYPOST_WORKSPACE/mine" "$TMPDIR/mine" /tmp/mine /dev/shm/mine && echo good
"""

CALLS = r"""
import ctypes, json, os, threading
libc = ctypes.CDLL(None, use_errno=True)
def fault_of(*call):
    done = libc.syscall(*call)
    if done == 0 and call[0] == clone: os._exit(0)
    return ctypes.get_errno() if done < 0 else 'made'
arm = os.uname().machine == 'aarch64'
add, request, control, unshare, clone = (217, 218, 219, 97, 220) if arm else (248, 249, 250, 272, 56)
found = {
    'unshare': fault_of(unshare, 0x10000000),
    'clone': fault_of(clone, 0x10000011, 0, 0, 0, 0),
    'clone3': fault_of(435, 0, 0),
    'add_key': fault_of(add, b'user', b'waypost', b'x', 1, -4),
    'request_key': fault_of(request, b'user', b'waypost', None, 0),
    'keyctl': fault_of(control, 0, -3, 0),
}
thread = threading.Thread(target=lambda: found.update(thread='ran'))
thread.start()
thread.join()
found['oom_score_adj'] = open('/proc/self/oom_score_adj').read().strip()
json.dump(found, open(os.environ['WAYPOST_OUTPUT'], 'w'))
"""


@pytest.fixture(params=["root", "of root", "user"])
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    with cluster_of(request.param) as cluster:
        yield cluster


def test_it_reads_no_secret_and_signals_nothing(cluster: Cluster) -> None:
    """No key, no journal, no workspace of another run, nobody's environment or process, by any path."""
    hide = task("hide", "sh", "-c", f"echo {CANARY} > secret; sleep 8", timeoutSeconds=60)
    hide = {**hide, "run": {**hide["run"], "env": {"HIDDEN": CANARY}}}
    script = f"CANARY = '{CANARY[:4]}' + '{CANARY[4:]}'\n{SEARCH}"
    ended = cluster.run({"victim": [hide], "thief": [task("search", "/usr/bin/python3", "-c", script)]})

    thief = ended["thief"]["search"]
    assert thief.phase == "Succeeded", thief
    assert (thief.output["found"], thief.output["signalled"]) == ([], [])
    assert thief.output["read"] > 100
    assert ended["victim"]["hide"].phase == "Succeeded"
    assert CANARY in (cluster.state / "workspaces" / "victim" / "0" / "secret").read_text()


def test_it_writes_into_its_own_folders_alone(cluster: Cluster) -> None:
    """Its workspace, its scratch folder, and a /tmp that is gone after it."""
    ended = cluster.run({"run": [task("write", "sh", "-c", WRITE)]})

    assert ended["run"]["write"].log == "good\n"
    assert (Path("/tmp/mine").exists(), list(cluster.state.rglob("above"))) == (False, [])
    assert {path.parent.name for path in cluster.state.rglob("mine")} == {"0", "1"}


def test_it_gains_no_privilege(cluster: Cluster) -> None:
    """No capability, no setuid program, no group of the cluster's; root's tasks are not root, by default."""
    script = "grep -E '^(Cap(Eff|Prm|Bnd|Amb)|NoNewPrivs|Groups)' /proc/self/status; id -u"
    log = cluster.run({"run": [task("a", "sh", "-c", script)]})["run"]["a"].log

    values = dict(line.split(":\t") for line in log.splitlines() if ":" in line)
    assert {values[name] for name in ("CapEff", "CapPrm", "CapAmb")} == {"0" * 16}
    assert values["NoNewPrivs"] == "1"
    assert (log.splitlines()[-1] == "0") == (not cluster.own_user)


def test_it_makes_no_user_namespace_and_reaches_no_keyring(cluster: Cluster) -> None:
    """In a namespace it could mount memory past its bounds; keys outlive a try, and tenants share them.

    Its threads and processes begin as ever, and when the machine's memory runs out it is the first to go.
    """
    ended = cluster.run({"run": [task("a", "/usr/bin/python3", "-c", CALLS)]})["run"]["a"]

    assert ended.output == {
        "unshare": errno.EPERM,
        "clone": errno.EPERM,
        "clone3": errno.ENOSYS,
        "add_key": errno.EPERM,
        "request_key": errno.EPERM,
        "keyctl": errno.EPERM,
        "thread": "ran",
        "oom_score_adj": "1000",
    }


def test_nothing_outlives_its_try(cluster: Cluster) -> None:
    """Not a daemon in a session of its own, without an environment, deaf to signals."""
    daemon = "trap '' TERM HUP INT; while :; do sleep 1; done"
    name = f"{cluster.folder.name}-daemon"
    script = f'(setsid env -i sh -c "{daemon}" {name} > /dev/null 2>&1 &); sleep 0.3; exit 0'
    ended = cluster.run({"run": [task("a", "sh", "-c", script)]})

    assert ended["run"]["a"].phase == "Succeeded"
    assert [pid for pid in os.listdir("/proc") if pid.isdecimal() and _is_daemon(pid, name)] == []


def _is_daemon(pid: str, name: str) -> bool:
    try:
        return name.encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
