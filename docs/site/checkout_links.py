"""Links of the pages to what lies outside docs/, which must work in a checkout and in the site."""

from __future__ import annotations

import re

from sphinx.application import Sphinx

PAGES = {"CONTRIBUTING.md": "reference/contributing.md", "CHANGELOG.md": "reference/changelog.md"}
"""Files of the checkout that are pages of the site too. Links to all others give the file itself."""


def rewrite(app: Sphinx, docname: str, source: list[str]) -> None:
    """Point links to the pages that a page of the site has of files of the checkout."""
    here = "../" * docname.count("/")
    for name, page in PAGES.items():
        source[0] = re.sub(rf"\]\({re.escape(f'{here}../{name}')}(?=[#)])", f"]({here}{page}", source[0])
