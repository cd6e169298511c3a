"""Builds Kubernetes from its Go module into the cache, and kwok; takes types of operators and of Istio.

Built are the API server, the controllers and the scheduler; kwok plays the nodes, and says of each pod that
it runs. Usage: `make kubernetes`. It takes a quarter of an hour on two processors, once; the tests of the
chart and of what is rendered for Istio on a real API server are skipped without it. Go checks each module by
its checksum database.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from helm.tools import API_SERVER_VERSION, KUBERNETES_PROGRAMS, cache, find_kubernetes

TOOLCHAIN: Final = "go1.27.3"
KWOK: Final = "sigs.k8s.io/kwok@v0.8.0"
STAGES: Final = (
    "node/fast/node-initialize.yaml",
    "node/heartbeat-with-lease/node-heartbeat-with-lease.yaml",
    "pod/fast/pod-complete.yaml",
    "pod/fast/pod-delete.yaml",
    "pod/fast/pod-ready.yaml",
)
"""What kwok has nodes and pods go through, as its own module describes it."""
OPERATOR: Final = "example/prometheus-operator-crd/monitoring.coreos.com_{}.yaml"
TYPES: Final = {
    "github.com/cert-manager/cert-manager@v1.21.2": ("deploy/crds/cert-manager.io_certificates.yaml",),
    "github.com/prometheus-operator/prometheus-operator@v0.85.0": (
        OPERATOR.format("alertmanagerconfigs"),
        OPERATOR.format("prometheusrules"),
        OPERATOR.format("servicemonitors"),
    ),
    "istio.io/api@v1.32.0": ("kubernetes/customresourcedefinitions.gen.yaml",),
}
"""The modules with the types (CustomResourceDefinitions) that objects are made of here, and their files."""
VERSION: Final = "k8s.io/component-base/version"
PACKAGES: Final = "k8s.io/kubernetes/cmd"


def go(*words: str, folder: Path, **environment: str) -> str:
    """Runs a command of Go in `folder`, with further variables; returns what it prints.

    Raises `subprocess.CalledProcessError`.
    """
    changes = {"GOTOOLCHAIN": TOOLCHAIN, "GOFLAGS": "-mod=mod -buildvcs=false", "CGO_ENABLED": "0"}
    changes |= environment
    return subprocess.run(
        ["go", *words], cwd=folder, env=os.environ | changes, stdout=subprocess.PIPE, text=True, check=True
    ).stdout


def downloaded(module: str, folder: Path) -> Path:
    return Path(json.loads(go("mod", "download", "-json", module, folder=folder))["Dir"])


def wrapper_module(source: str, version: str) -> str:
    """Returns the go.mod of a module that needs Kubernetes alone, from Kubernetes' own go.mod.

    The parts of Kubernetes that its own go.mod finds in its folder `staging` are modules of their own, with
    the version 0.37.2 for 1.37.2.
    """
    staging = set(re.findall(r"(k8s\.io/[a-z0-9-]+) (?:v0\.0\.0(?=\s|$)|=> \./staging)", source))
    blocks = re.findall(r"require \((.*?)\)", source, re.DOTALL)
    lines = [line.strip() for block in blocks for line in block.strip().splitlines()]
    required = [line for line in lines if not re.search(r" v0\.0\.0(\s|$)", line)]
    of_staging = [f"{name} => {name} v0.{version.partition('.')[2]}" for name in sorted(staging)]
    beginning = ["module waypost.internal/kubernetes", "go 1.26.0", "godebug default=go1.26"]
    needed = ["require (", f"k8s.io/kubernetes v{version}", *required, ")"]
    return "\n".join([*beginning, *needed, "replace (", *of_staging, ")", ""])


def build(target: Path) -> None:
    """Builds the programs of Kubernetes that are not there yet, and puts them into the folder `target`."""
    programs = [name for name in KUBERNETES_PROGRAMS if not (target / name).is_file()]
    if not programs:
        return
    with tempfile.TemporaryDirectory(dir=target) as name:
        folder = Path(name)
        kubernetes = downloaded(f"k8s.io/kubernetes@v{API_SERVER_VERSION}", folder)
        text = wrapper_module((kubernetes / "go.mod").read_text(), API_SERVER_VERSION)
        (folder / "go.mod").write_text(text)
        (folder / "go.sum").write_text((kubernetes / "go.sum").read_text())
        imports = "".join(f'import _ "{PACKAGES}/{program}"\n' for program in KUBERNETES_PROGRAMS)
        (folder / "tools.go").write_text(f"//go:build tools\n\npackage tools\n\n{imports}")
        go("mod", "tidy", "-e", folder=folder)
        major, minor, _ = API_SERVER_VERSION.split(".")
        named = {"gitVersion": f"v{API_SERVER_VERSION}", "gitMajor": major, "gitMinor": minor}
        flags = " ".join(["-s -w", *(f"-X {VERSION}.{key}={value}" for key, value in named.items())])
        for program in programs:
            made = folder / program
            words = ["build", "-trimpath", "-ldflags", flags, "-o", str(made), f"{PACKAGES}/{program}"]
            go(*words, folder=folder)
            made.rename(target / program)


def build_kwok(target: Path) -> None:
    """Puts kwok and its stages into the folder `target`, where they are not there yet."""
    stages = target / "stages"
    stages.mkdir(exist_ok=True)
    if (target / "kwok").is_file() and all((stages / Path(stage).name).is_file() for stage in STAGES):
        return
    with tempfile.TemporaryDirectory(dir=target) as name:
        folder = Path(name)
        path, _, version = KWOK.partition("@")
        program = f"{path}/cmd/kwok@{version}"
        go("install", "-trimpath", "-ldflags", "-s -w", program, folder=folder, GOBIN=name, GOFLAGS="")
        found = downloaded(KWOK, folder)
        for stage in STAGES:
            shutil.copyfile(found / "kustomize" / "stage" / stage, stages / Path(stage).name)
        (folder / "kwok").rename(target / "kwok")


def take_types(target: Path) -> None:
    """Copies the types that are not there yet into the folder `target`."""
    target.mkdir(parents=True, exist_ok=True)
    for module, files in TYPES.items():
        if all((target / Path(file).name).exists() for file in files):
            continue
        with tempfile.TemporaryDirectory() as folder:
            found = downloaded(module, Path(folder))
        for file in files:
            shutil.copyfile(found / file, target / Path(file).name)


def main() -> int:
    """Builds what is not in the cache yet, and prints where it is."""
    folder = cache().parent / f"kubernetes-{API_SERVER_VERSION}"
    folder.mkdir(parents=True, exist_ok=True)
    build(folder)
    build_kwok(folder)
    take_types(folder / "types")
    sys.stdout.write(f"{find_kubernetes()}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
