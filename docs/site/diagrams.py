"""Mermaid diagrams of the pages, drawn when the site is built: no script draws them in the reader's browser."""

from __future__ import annotations

import re

import mermaidx
from docutils import nodes
from sphinx.util.docutils import SphinxDirective

CONFIG = {"flowchart": {"nodeSpacing": 15, "rankSpacing": 28, "wrappingWidth": 130, "padding": 8}}
"""Closer than usual, so that letters stay legible where the page is narrow."""


class Mermaid(SphinxDirective):
    """The fence ``mermaid``: an SVG in the page, in the theme's colours (style.css)."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        """Draw it."""
        svg = mermaidx.render("\n".join(self.content), config=CONFIG).svg()
        svg = re.sub(r"<style>.*?</style>", "", svg, flags=re.DOTALL)  # its colours are those of a white page
        return [nodes.raw("", f'<figure class="diagram" tabindex="0">{svg}</figure>', format="html")]
