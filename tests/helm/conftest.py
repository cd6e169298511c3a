"""Builds the chart once for all tests of a process, and renders each example once."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from helm.chart import build
from tests.helm.rendering import EXAMPLES, Object, rendered


@pytest.fixture(scope="session")
def chart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("chart"))


@pytest.fixture(scope="session")
def example(chart: Path) -> Callable[[str], list[Object]]:
    """Returns the rendered objects of an example by its name; a test that changes them takes a copy."""
    paths = {path.stem: path for path in EXAMPLES}

    @cache
    def render(name: str) -> list[Object]:
        return rendered(chart, "--values", paths[name])

    return render
