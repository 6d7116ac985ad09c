"""Where the parts of Assay that are no modules are found: the server's script, the pages, the examples."""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent


def _site() -> Path:
    """In a checkout its root; an installed wheel carries them inside the package."""
    carried = PACKAGE / "site"
    return carried if carried.is_dir() else PACKAGE.parents[1]


SITE = _site()
SERVER = SITE / "app.py"
PAGES = SITE / "pages"
EXAMPLES = SITE / "examples"
