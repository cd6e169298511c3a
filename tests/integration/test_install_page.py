"""Types the commands of `docs/operations/install.md` as they stand there, in one folder on one machine."""

import asyncio
import os
import re
import socket
import sysconfig
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pytest

from tests.gateway.cli.test_operations_pages import OPERATIONS
from tests.gateway.cli.test_runbooks import shell_blocks

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

CHECKOUT: Final = OPERATIONS.parents[1]
PAGE: Final = (OPERATIONS / "install.md").read_text()
BEFORE: Final = """
set -euo pipefail
started=()
trap 'kill "${started[@]}"; wait' EXIT
"""
"""The processes that are started end with the script."""


def free_ports(number: int) -> list[int]:
    with ExitStack() as exits:
        sockets = [exits.enter_context(socket.socket()) for _ in range(number)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


PORTS: Final = free_ports(8)


def script(folder: Path) -> str:
    """Returns the commands of the page: addresses are this machine's, processes stay in the background."""
    text = "".join(shell_blocks(PAGE))
    text = re.sub(
        r"^(waypost (?:cluster|gateway) .*)$", r'\1 >> log 2>&1 & started+=("$!")', text, flags=re.MULTILINE
    )
    made, rest = text.split("\n", 1)
    here_too = (
        f"echo {sysconfig.get_path('purelib')} > $(echo /opt/waypost/lib/python*/site-packages)/here.pth"
    )
    return BEFORE + here(f"{made}\n{here_too}\nexport PATH=/opt/waypost/bin:$PATH\n{rest}", folder)


def here(text: str, folder: Path) -> str:
    """Returns a text of the page with the paths, addresses and ports of this test."""
    ports = iter(PORTS)
    for name in ("10.1.0.5", "10.2.0.5", "10.3.0.5"):
        port = next(ports)
        text = text.replace(f"{name}:7101", f"127.0.0.1:{port}")
        text = text.replace(f"--host {name} --port 7101", f"--host 127.0.0.1 --port {port}")
    first, *others = (next(ports) for _ in range(3))
    text = text.replace("--metrics-port 9101", f"--metrics-port {first}", 1).replace(":9101/", f":{first}/")
    for other in others:
        text = text.replace("--metrics-port 9101", f"--metrics-port {other}", 1)
    api, internal = next(ports), next(ports)
    text = text.replace("10.1.0.1:8080", f"127.0.0.1:{api}")
    text = text.replace('host = "10.1.0.1"', f"port = {api}\n\n[metrics]\nport = {internal}")
    text = text.replace(
        "healthcheck --timeout", f"healthcheck --url http://127.0.0.1:{internal}/readyz?verbose --timeout"
    )
    return text.replace("/opt/waypost", f"{folder}/opt").replace("CHECKOUT", str(CHECKOUT))


async def test_the_page_leads_from_nothing_to_three_regions_that_work(tmp_path: Path) -> None:
    """What it installs is what runs; packages that it needs are taken from this environment, not an index."""
    (settings,) = re.findall(r"^```toml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    (tmp_path / "gateway.toml").write_text(here(settings, tmp_path))
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "PIP_NO_INDEX": "1",
        "PIP_NO_BUILD_ISOLATION": "0",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }
    typing = await asyncio.create_subprocess_exec(
        "bash",
        "-c",
        script(tmp_path),
        cwd=tmp_path,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await typing.communicate()
    log = (tmp_path / "log").read_text() if (tmp_path / "log").exists() else ""
    assert typing.returncode == 0, said.decode() + log
    text = said.decode()
    assert all(name in text for name in ("beijing", "shanghai", "shenzhen"))
    assert text.count("Healthy") >= 3
    assert "Succeeded" in text
    installed = list((tmp_path / "opt").glob("lib/python*/site-packages/gateway/app.py"))
    assert installed, "it is installed, not only found"
