"""Finds the `opa` program on PATH, or where `make opa` builds it; run as a module, prints its path.

The policy engine itself needs no such program, only the address of an OPA that runs.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

BUILT_VERSION: Final = "1.22.2"
"""The OPA release that `make opa` builds; the Makefile names it too."""
OLDEST: Final = (1, 21, 3)
"""The oldest OPA release that is used: older ones accept bad signatures, or (CVE-2025-46569) injections."""


def find_opa() -> Path | None:
    """Returns the path of an `opa` not older than `OLDEST`, on PATH or from `make opa`; None without one."""
    return next((path for path in _candidates() if (version_of(path) or ()) >= OLDEST), None)


def _candidates() -> Iterator[Path]:
    if on_path := shutil.which("opa"):
        yield Path(on_path)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    yield cache / "waypost" / f"opa-{BUILT_VERSION}" / "opa"


def version_of(program: Path) -> tuple[int, ...] | None:
    """Returns the version that the `opa` at `program` reports; None if it does not run or reports none."""
    try:
        printed = subprocess.run(
            [program, "version"], capture_output=True, text=True, timeout=10, check=True, env={}
        ).stdout
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    found = re.search(r"^Version: (\d+)\.(\d+)\.(\d+)", printed, re.MULTILINE)
    return tuple(map(int, found.groups())) if found else None


if __name__ == "__main__":
    program = find_opa()
    print(program or f"no opa of version {'.'.join(map(str, OLDEST))} or newer here")
    sys.exit(0 if program else 1)
