"""Options and fixtures of the whole test suite.

Property tests draw the same hundred examples each time; `--hypothesis-profile many` draws a thousand.
"""

import gc
from collections.abc import Iterator
from typing import Final

import pytest
from hypothesis import HealthCheck, settings

from gateway.cli.dev.opa_program import find_opa
from waypost.pki.authority import create_root

# Times by the clock say more about the machine's load than about the code.
BY_THE_CLOCK: Final = (HealthCheck.too_slow,)
settings.register_profile("steady", derandomize=True, deadline=None, suppress_health_check=BY_THE_CLOCK)
settings.register_profile("many", max_examples=1_000, deadline=None, suppress_health_check=BY_THE_CLOCK)
settings.load_profile("steady")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--rounds", type=int, default=2, help="how often each fault is tried on real processes")
    parser.addoption("--kills", type=int, default=10, help="how often a cluster at work is killed")
    parser.addoption("--kill-seed", type=int, default=1, help="from which the moments of these kills follow")
    parser.addoption("--faults", type=int, default=200, help="how many random faults of an OPA are tried")
    parser.addoption("--rules", type=int, default=100, help="how many rules are tried on OPA too")
    parser.addoption("--decisions", type=int, default=300, help="how many are recorded and replayed")
    parser.addoption("--all-cases", action="store_true", help="ask OPA all of its own cases, not one in 40")
    parser.addoption("--policy", choices=["embedded", "opa"], default="embedded", help="of real stacks")
    parser.addoption("--seeds", type=int, default=60, help="how many troubled worlds are simulated")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks tests that need an OPA as integration tests, and skips them where there is none."""
    with_opa = [item for item in items if item.get_closest_marker("opa")]
    missing = with_opa and find_opa() is None
    for item in with_opa:
        item.add_marker(pytest.mark.integration)
        if missing:
            item.add_marker(pytest.mark.skip("needs an opa program: `make opa` builds one"))


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """The garbage collector leaves what was imported and collected alone, and looks for garbage less often:
    otherwise it goes through thousands of tests again and again, for an eighth of their time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000)


@pytest.fixture
def rounds(request: pytest.FixtureRequest) -> int:
    return int(request.config.getoption("--rounds"))


@pytest.fixture(autouse=True, scope="session")
def _state_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Sets XDG_STATE_HOME to a temporary folder, so that tests keep nothing in the user's home folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state-home")))
        yield


@pytest.fixture(autouse=True, scope="session")
def _public_roots(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Replaces the machine's root certificates by a single one, for all tests.

    No test speaks TLS with the internet, and each of a thousand clients would read a hundred roots, for most
    of the time that its test takes.
    """
    folder = tmp_path_factory.mktemp("roots")
    create_root(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(folder / "ca.pem"))
        yield
