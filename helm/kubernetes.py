"""Builds Kubernetes' API server from its Go module into the cache, and takes types of operators and of Istio.

Usage: `make kubernetes`. It takes a quarter of an hour on two processors, once; the tests of the chart and of
what is rendered for Istio on a real API server are skipped without it. Go checks each module by its checksum
database.
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

from helm.tools import API_SERVER_VERSION, cache, find_kubernetes

TOOLCHAIN: Final = "go1.27.3"
PROGRAM: Final = "k8s.io/kubernetes/cmd/kube-apiserver"
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


def go(*words: str, folder: Path) -> str:
    """Runs a command of Go in `folder`; returns what it prints. Raises `subprocess.CalledProcessError`."""
    changes = {"GOTOOLCHAIN": TOOLCHAIN, "GOFLAGS": "-mod=mod -buildvcs=false", "CGO_ENABLED": "0"}
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
    """Builds the API server, and puts it into the folder `target`."""
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target) as name:
        folder = Path(name)
        kubernetes = downloaded(f"k8s.io/kubernetes@v{API_SERVER_VERSION}", folder)
        text = wrapper_module((kubernetes / "go.mod").read_text(), API_SERVER_VERSION)
        (folder / "go.mod").write_text(text)
        (folder / "go.sum").write_text((kubernetes / "go.sum").read_text())
        (folder / "tools.go").write_text(f'//go:build tools\n\npackage tools\n\nimport _ "{PROGRAM}"\n')
        go("mod", "tidy", "-e", folder=folder)
        major, minor, _ = API_SERVER_VERSION.split(".")
        named = {"gitVersion": f"v{API_SERVER_VERSION}", "gitMajor": major, "gitMinor": minor}
        flags = " ".join(["-s -w", *(f"-X {VERSION}.{key}={value}" for key, value in named.items())])
        go(
            "build",
            "-trimpath",
            "-ldflags",
            flags,
            "-o",
            str(folder / "kube-apiserver"),
            PROGRAM,
            folder=folder,
        )
        (folder / "kube-apiserver").rename(target / "kube-apiserver")


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
    if find_kubernetes() is None:
        build(folder)
    take_types(folder / "types")
    sys.stdout.write(f"{find_kubernetes()}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
