"""Runs the containers of a rendered pod on this machine as Kubernetes would, but for images and isolation.

Each has its command, environment, user, mounts and read-only root file system; all are in one network of
their own, without capabilities. It takes root and util-linux; tests are skipped without them.
"""

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import pytest

from tests.helm.rendering import Object

TOOLS: Final = ("unshare", "nsenter", "setpriv", "ip")
USER: Final = 10_001
ROOT: Final = Path(__file__).parent.parent.parent
BEGIN: Final = """set -e
mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs /mnt
mkdir /mnt/upper /mnt/work /mnt/kept
mount -t overlay overlay -o lowerdir=/etc,upperdir=/mnt/upper,workdir=/mnt/work /etc
for folder in /var/lib /run; do mount -t tmpfs -o mode=755 tmpfs $folder; done
"""
"""What every container begins with: folders in which mount points can be made."""


class Network:
    """A network of its own, in which containers and the test's own programs run."""

    def __init__(self, stack: ExitStack) -> None:
        if os.geteuid() or not all(map(shutil.which, TOOLS)):
            pytest.skip(f"needs root and {', '.join(TOOLS)}")
        tried = subprocess.run(
            ["unshare", "--net", "--mount", "sh", "-c", BEGIN], capture_output=True, text=True, check=False
        )
        if tried.returncode:
            # Root in a container, for instance.
            pytest.skip(f"needs namespaces and overlays: {tried.stderr.strip()}")
        hold = "ip link set lo up; echo; exec sleep 600"
        words = ["unshare", "--net", "sh", "-c", hold]
        holder = stack.enter_context(subprocess.Popen(words, stdout=subprocess.PIPE))
        stack.callback(holder.kill)
        assert holder.stdout is not None
        holder.stdout.readline()
        self.inside = ("nsenter", f"--net=/proc/{holder.pid}/ns/net")

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*self.inside, *words], capture_output=True, text=True, timeout=90, check=False)


@contextmanager
def network() -> Iterator[Network]:
    with ExitStack() as stack:
        yield Network(stack)


@contextmanager
def container(
    network: Network,
    made: Object,
    volumes: Mapping[str, Path],
    *,
    log: Path,
    programs: Mapping[str, str],
    hosts: Collection[str] = (),
) -> Iterator[subprocess.Popen[bytes]]:
    """Runs one container, until the end of `with`, where it gets SIGTERM.

    `volumes` are the folders of the pod's volumes by name, `programs` the paths of programs that an
    image has, `hosts` the names of Services that lead to this network.
    """
    words = [*made.get("command", [made["name"]]), *made.get("args", ())]
    words[0] = programs[words[0]]
    given = [f"{one['name']}={one['value']}" for one in made.get("env", ())]
    keep, bring_back = _kept_below(Path("/tmp"), programs.values())
    script = BEGIN + _made_reachable(programs.values()) + keep
    # /tmp last: it hides the folders that the others are made of.
    mounts = sorted(made["volumeMounts"], key=lambda mount: bool(mount["mountPath"] == "/tmp"))
    script += "".join(_mounted(mount, volumes) for mount in mounts) + bring_back
    script += "".join(f"echo 127.0.0.1 {host} >> /etc/hosts\n" for host in hosts)
    script += "mount -o remount,bind,ro /\n"
    user = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "--no-new-privs"]
    rights = ["--bounding-set=-all", "--inh-caps=-all"]
    script += shlex.join(["exec", *user, *rights, "env", "-i", "PATH=/usr/bin:/bin", *given, *words])
    with log.open("ab") as output:
        process = subprocess.Popen(
            [*network.inside, "unshare", "--mount", "sh", "-c", script],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd="/",
        )
    try:
        yield process
        process.terminate()
        process.wait(timeout=30)
    finally:
        process.kill()
        process.wait()


def _mounted(mount: Object, volumes: Mapping[str, Path]) -> str:
    source, target = volumes[mount["name"]], mount["mountPath"]
    if file := mount.get("subPath"):
        source = source / file
        made = f"mkdir -p {Path(target).parent}; touch {target}\n"
    else:
        made = f"mkdir -p {target}\n"
    only = f"mount -o remount,bind,ro {target}\n" if mount.get("readOnly") else ""
    return f"{made}mount --bind {source} {target}\n{only}"


def _made_reachable(programs: Collection[str]) -> str:
    """Returns the commands after which the user of a container can reach what the image would have.

    That is Python, our code and the programs, also where they are in a home folder that is closed to others:
    it is hidden by one that has nothing else.
    """
    closed = next(
        (above for path in _needed(programs) for above in path.parents if not above.stat().st_mode & 0o001),
        None,
    )
    if closed is None:
        return ""
    keep, bring = _kept_below(closed, programs)
    return f"{keep}mount -t tmpfs -o mode=755 tmpfs {closed}\n{bring}"


def _kept_below(folder: Path, programs: Collection[str]) -> tuple[str, str]:
    """Returns the commands that keep what is needed below a folder, and those that bring it back.

    In between another folder is mounted over it.
    """
    keep, bring = "", ""
    for number, path in enumerate(path for path in _needed(programs) if folder in path.parents):
        kept = f"/mnt/kept/{folder.name}-{number}"
        make = "mkdir -p {0}" if path.is_dir() else "mkdir -p $(dirname {0}); touch {0}"
        keep += f"{make.format(kept)}; mount --rbind {path} {kept}\n"
        bring += f"{make.format(path)}; mount --rbind {kept} {path}\n"
    return keep, bring


def _needed(programs: Collection[str]) -> list[Path]:
    return sorted({ROOT, Path(sys.base_prefix), Path(sys.prefix), *map(Path, programs)})
