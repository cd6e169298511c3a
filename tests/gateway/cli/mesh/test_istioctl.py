"""Tests what is rendered with a real `istioctl`.

CI skips them, since building it takes ten minutes: `make istioctl`.
"""

import subprocess
from pathlib import Path

import pytest

from helm.tools import find_istioctl
from tests.gateway.cli.mesh.test_services import REGIONS, SERVICES, ended
from tests.gateway.mesh.test_hazards import FIXTURES

pytestmark = pytest.mark.integration


def istioctl(*words: str | Path) -> subprocess.CompletedProcess[str]:
    if (program := find_istioctl()) is None:
        pytest.skip("needs istioctl: `make istioctl`")
    return subprocess.run([program, *words], capture_output=True, text=True, timeout=90, check=False)


@pytest.fixture
def rendered(tmp_path: Path) -> list[Path]:
    assert ended("render", SERVICES, "--regions", str(REGIONS), "--folder", str(tmp_path / "mesh")) == 0
    return sorted((tmp_path / "mesh").iterdir())


def test_istioctl_validates_everything_that_is_rendered(rendered: list[Path]) -> None:
    for path in rendered:
        done = istioctl("validate", "-f", path)
        assert (done.returncode, "valid" in done.stdout + done.stderr) == (0, True), done.stderr


def test_istioctl_analyzes_it_without_a_finding_about_it(rendered: list[Path]) -> None:
    """But that the pods, which are elsewhere, are not among the files."""
    done = istioctl("analyze", "--use-kube=false", "-A", *rendered)
    lines = (done.stdout + done.stderr).splitlines()
    assert [line for line in lines if line.startswith("Error")] == []
    warnings = [line for line in lines if line.startswith("Warning")]
    assert [line for line in warnings if "IST0127" not in line] == []


def test_istioctl_refuses_what_is_invalid(rendered: list[Path]) -> None:
    """So the tests above mean something."""
    path = next(path for path in rendered if path.stem == "finance")
    path.write_text(path.read_text().replace("- read:finance", '- ""'))
    done = istioctl("validate", "-f", path)
    assert done.returncode != 0
    assert "empty value not allowed" in done.stdout + done.stderr


REFUSED = {"deny.nothing": "DENY action without `rules` is meaningless"}


@pytest.mark.parametrize("fixture", FIXTURES, ids=lambda path: path.stem)
def test_istioctl_takes_hazards_but_one(fixture: Path) -> None:
    """That is why they are looked for."""
    done = istioctl("validate", "-f", fixture)
    assert REFUSED.get(fixture.stem, "valid") in done.stdout + done.stderr
    assert (done.returncode != 0) is (fixture.stem in REFUSED), done.stderr
