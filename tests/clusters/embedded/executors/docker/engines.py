"""Starts a real Docker Engine or podman service of the tests' own, with an image of busybox."""

import contextlib
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import tarfile
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from clusters.embedded.executors.docker.engine import ping

START_SECONDS = 30.0
APPLETS = (
    "sh",
    "sleep",
    "true",
    "cat",
    "echo",
    "head",
    "id",
    "touch",
    "yes",
    "dd",
    "ls",
    "wget",
    "grep",
    "mkfifo",
)
DAEMON = {
    "bridge": "none",
    "iptables": False,
    "ip6tables": False,
    "storage-driver": "overlay2",
    "exec-opts": ["native.cgroupdriver=cgroupfs"],
    "default-ulimits": {"nofile": {"Name": "nofile", "Hard": 1024, "Soft": 1024}},
}
CONTAINERS = """
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
netns = "none"
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
"""


def missing(kind: str) -> str:
    """Returns why an engine of this kind cannot be started here; empty if it can."""
    if os.geteuid() != 0:
        return "only root can start an engine with cgroups"
    programs = {"docker": ("dockerd", "containerd", "runc"), "podman": ("podman", "runc", "conmon")}[kind]
    absent = [program for program in (*programs, "busybox") if shutil.which(program) is None]
    return f"there is no {', '.join(absent)} here (`make containers` installs them)" if absent else ""


class RealEngine:
    """A container engine in a folder of its own; `kill` and `start` take it away and bring it back."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.kind, self.folder = kind, folder
        self.socket = str(folder / f"{kind}.sock")
        self.image = ""
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir()
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.registry_port = free.getsockname()[1]
            """The port of a registry that the engine calls without TLS."""

    def start(self) -> None:
        for left in (self.folder / "pid", Path(self.socket), *self.folder.glob("exec/containerd/*.sock*")):
            left.unlink(missing_ok=True)
        for left in self.folder.glob("exec/containerd/*.pid"):
            left.unlink()
        command, environment = self._docker() if self.kind == "docker" else self._podman()
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command, env=environment, stdout=log, stderr=log, start_new_session=True
            )
        until = time.monotonic() + START_SECONDS
        while True:
            if ping(self.socket):
                if time.monotonic() > until or self._process.poll() is not None:
                    log_text = (self.folder / "log").read_text()[-2000:]
                    raise AssertionError(f"{self.kind} does not start: {log_text}")
                time.sleep(0.05)
            else:
                break
        self.image = self.image or self._load_image()

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Ends the engine's process; containers of a Docker Engine go on without it."""
        assert self._process is not None
        self._process.send_signal(number)
        self._process.wait()

    def pause(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """Removes all containers, and ends the engine with all its processes."""
        assert self._process is not None
        if self._process.poll() is None:
            self.resume()
            for container in self.containers():
                self.call("DELETE", f"/containers/{container['Id']}", params={"force": "true"})
            self.kill(signal.SIGTERM)
        # The runtime's processes that an engine starts are in sessions of their own, below this folder.
        for process in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if (
                    process.name.isdecimal()
                    and str(self.folder).encode() in (process / "cmdline").read_bytes()
                ):
                    os.kill(int(process.name), signal.SIGKILL)
        for line in Path("/proc/mounts").read_text().splitlines():
            if (point := line.split()[1]).startswith(str(self.folder)):
                subprocess.run(["umount", "-l", point], check=False)

    def call(self, method: str, path: str, **request: Any) -> httpx.Response:
        with httpx.Client(transport=httpx.HTTPTransport(uds=self.socket), timeout=30) as client:
            answer = client.request(method, f"http://engine{path}", **request)
        assert answer.status_code < 500, answer.text
        return answer

    def containers(self, label: str = "") -> list[dict[str, Any]]:
        filters = json.dumps({"label": [label]} if label else {})
        found = self.call("GET", "/containers/json", params={"all": "true", "filters": filters}).json()
        assert isinstance(found, list)
        return found

    def _docker(self) -> tuple[list[str], dict[str, str]]:
        folder = self.folder
        places = {"data-root": "data", "exec-root": "exec", "pidfile": "pid"}
        settings = DAEMON | {name: str(folder / place) for name, place in places.items()}
        (folder / "daemon.json").write_text(json.dumps(settings | {"hosts": [f"unix://{self.socket}"]}))
        return ["dockerd", "--config-file", str(folder / "daemon.json")], dict(os.environ)

    def _podman(self) -> tuple[list[str], dict[str, str]]:
        folder = self.folder
        (folder / "containers.conf").write_text(CONTAINERS)
        places = {"root": "root", "runroot": "run", "tmpdir": "tmp"}
        options = [f"--{name}={folder / place}" for name, place in places.items()]
        service = ["system", "service", "--time", "0", f"unix://{self.socket}"]
        registry = f'location = "127.0.0.1:{self.registry_port}"\ninsecure = true\n'
        (folder / "registries.conf").write_text(f"[[registry]]\n{registry}")
        environment = os.environ | {
            "CONTAINERS_CONF": str(folder / "containers.conf"),
            "CONTAINERS_REGISTRIES_CONF": str(folder / "registries.conf"),
        }
        return ["podman", *options, "--storage-driver", "overlay", *service], dict(environment)

    def _load_image(self) -> str:
        """Imports an image with busybox alone; returns its id."""
        self.call(
            "POST",
            "/images/create",
            params={"fromSrc": "-", "repo": "waypost-tests", "tag": "1"},
            content=busybox_files(),
            headers={"content-type": "application/x-tar"},
        )
        (image,) = self.call("GET", "/images/json").json()
        return str(image["Id"])


def busybox_files() -> bytes:
    """Returns a tar of a root folder with busybox alone."""
    path = shutil.which("busybox")
    assert path is not None
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.add(path, "bin/busybox")
        for folder in ("proc", "tmp", "waypost"):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777
            archive.addfile(entry)
        for applet in APPLETS:
            link = tarfile.TarInfo(f"bin/{applet}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            archive.addfile(link)
    return file.getvalue()


def started(kind: str, folder: Path) -> RealEngine:
    """Starts an engine, or skips the test, with the reason."""
    if why := missing(kind):
        pytest.skip(why)
    engine = RealEngine(kind, folder)
    engine.start()
    return engine
