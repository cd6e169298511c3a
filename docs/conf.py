"""The configuration of the documentation site (Sphinx with MyST), which `make docs` builds."""

import sys
from pathlib import Path
from typing import Any, Final

from pygments.lexers.special import TextLexer

ROOT: Final = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from docs.reference_pages import write_reference  # noqa: E402  # Sphinx reads this file from another folder

project = "Waypost"
author = "the Waypost developers"
extensions = ["myst_parser"]
html_theme = "furo"
html_title = "Waypost"
exclude_patterns = ["_build", "requirements.lock"]
myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence"]
nitpicky = True


def setup(app: Any) -> None:
    """Writes the reference from the code before the pages are read."""
    app.connect("builder-inited", lambda _: write_reference(ROOT / "docs" / "reference"))
    # The diagrams of states are shown as text: to draw them a page would load a program from elsewhere.
    app.add_lexer("mermaid", TextLexer)
