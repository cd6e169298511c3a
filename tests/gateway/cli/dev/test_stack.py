"""What the stack does when it cannot start."""

import asyncio
from pathlib import Path

import pytest

from gateway.cli.dev.stack import Stack
from gateway.cli.errors import CliError


class Halting(Stack):
    """Its region `a` does not start; `b` takes a little longer to."""

    started: tuple[str, ...] = ()

    async def start_region(self, region: str, *, port: int = 0) -> None:
        if region == "a":
            raise CliError("a did not start")
        for _ in range(10):
            await asyncio.sleep(0)
        self.started += (region,)


async def test_a_region_that_does_not_start_leaves_no_other_behind(tmp_path: Path) -> None:
    """One that starts after everything was stopped would run for ever."""
    stack = Halting(tmp_path, ("a", "b"))
    with pytest.raises(CliError, match="a did not start"):
        await stack.__aenter__()
    assert stack.started == ("b",)


async def test_certificates_that_do_not_fit_are_named(tmp_path: Path) -> None:
    """A folder from which the root's key was taken."""
    (tmp_path / "pki").mkdir()
    (tmp_path / "pki" / "ca.pem").write_text("none")
    with pytest.raises(CliError, match=r"ca\.pem is not a PEM certificate"):
        await Stack(tmp_path, ("a",)).__aenter__()
