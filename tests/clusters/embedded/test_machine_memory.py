"""Tests how much memory a cluster takes itself to have."""

from pathlib import Path

import pytest

from clusters.embedded.machine_memory import cgroup_bounds, machine_memory_mib


@pytest.mark.parametrize(
    ("lines", "files", "bounds"),
    [
        ("0::/pod/task\n", {"pod/task/memory.max": "max\n", "pod/memory.max": "1073741824\n"}, [1 << 30]),
        ("0::/\n", {"memory.max": "536870912\n"}, [1 << 29]),
        # In a container the path is that of the machine, and the mounted root the container's own.
        ("4:memory:/docker/x\n0::/\n", {"memory/memory.limit_in_bytes": "536870912\n"}, [1 << 29]),
        ("0::/\n", {}, []),
        ("0::/\n", {"memory.max": "0\n"}, []),
        ("", {"memory.max": "536870912\n"}, []),
    ],
)
def test_a_bounded_cgroup_has_less_than_its_machine(
    tmp_path: Path, lines: str, files: dict[str, str], bounds: list[int]
) -> None:
    """As of a container: tasks that ask for the machine's memory would be killed. Of versions 1 and 2."""
    (tmp_path / "own").write_text(lines)
    for name, text in files.items():
        (tmp_path / "root" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "root" / name).write_text(text)
    assert list(cgroup_bounds(tmp_path / "root", tmp_path / "own")) == bounds


def test_a_machine_without_cgroups_has_all_of_its_memory(tmp_path: Path) -> None:
    assert list(cgroup_bounds(tmp_path, tmp_path / "none")) == []
    assert machine_memory_mib() > 0
