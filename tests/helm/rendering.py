"""Renders the chart with Helm, for tests; they are skipped where there is no Helm (`make helm`)."""

import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final, TypeAlias

import pytest
import yaml

from helm.tools import find_helm

Object: TypeAlias = dict[str, Any]
EXAMPLES: Final = sorted((Path(__file__).parent.parent.parent / "helm" / "examples").glob("*.yaml"))
NAMES: Final = [path.stem for path in EXAMPLES]


@cache
def helm() -> Path:
    """Returns the path of Helm; skips the test where there is none."""
    found = find_helm()
    if found is None:
        pytest.skip("needs helm: `make helm` takes it")
    return found


def run_helm(*words: str | Path, check: bool = True, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    answer = subprocess.run(
        [helm(), *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
        env={"HOME": "/nonexistent"},
    )
    assert not check or answer.returncode == 0, answer.stderr + answer.stdout
    return answer


def rendered(chart: Path, *options: str | Path) -> list[Object]:
    """Returns the objects of the release `waypost` in the namespace `wp`, tests among them."""
    text = run_helm("template", "waypost", chart, "--namespace", "wp", *options).stdout
    return [made for made in yaml.safe_load_all(text) if made]


def refusal(chart: Path, *options: str | Path) -> str:
    """Returns what Helm says of values that it refuses."""
    answer = run_helm("template", "waypost", chart, *options, check=False)
    assert answer.returncode != 0, "these values were taken"
    return answer.stderr


def of_kind(objects: Sequence[Object], kind: str) -> list[Object]:
    return [made for made in objects if made["kind"] == kind]


def named(objects: Sequence[Object], kind: str, name: str) -> Object:
    (found,) = (made for made in of_kind(objects, kind) if made["metadata"]["name"] == name)
    return found


def containers(objects: Sequence[Object]) -> list[Object]:
    """Returns all containers of the objects' pods, sidecars among them."""
    pods = [made["spec"]["template"]["spec"] for made in of_kind(objects, "StatefulSet")]
    pods += [made["spec"] for made in of_kind(objects, "Pod")]
    return [one for pod in pods for one in (*pod["containers"], *pod.get("initContainers", ()))]
