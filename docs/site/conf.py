"""The documentation as a site: Sphinx reads docs/ as it stands, and what `generated` writes beside it.

Built by ``make docs`` (`spikeloom docs --site`), where a warning is an error. No page takes anything from the network.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

SITE = Path(__file__).resolve().parent
ROOT = SITE.parent.parent
sys.path[:0] = [str(SITE), str(ROOT)]

import checkout_links  # noqa: E402
import diagrams  # noqa: E402
import docstrings  # noqa: E402
import generated  # noqa: E402

project = "Spikeloom"
copyright = "Spikeloom authors"
extensions = [
    "myst_parser",  # the pages are Markdown
    "sphinx_external_toc",  # their order is in toc.yml, so that the pages need no directive for it
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",  # docstrings are numpydoc
    "sphinx_click",  # help of the commands
]
external_toc_path = str(SITE / "toc.yml")

html_theme = "furo"
html_title = project
html_static_path = ["static"]
html_css_files = ["style.css"]
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
highlight_language = "text"

myst_heading_anchors = 4
myst_fence_as_directive = ["mermaid"]

suppress_warnings = ["ref.python"]  # what the face names is described twice, and a reference may lead to either
default_role = "py:obj"  # a name between single backticks is a reference where it is known, and code everywhere
autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_preserve_defaults = True
autodoc_type_aliases = {"ArrayLike": "ArrayLike", "ProgressCallback": "ProgressCallback"}
autodoc_inherit_docstrings = False
autodoc_mock_imports = ["triton", "pynq"]  # only where there is a GPU, only on a board
autodoc_typehints_format = "short"
napoleon_google_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False
napoleon_custom_sections = [("Members", "params_style")]  # ports of an Amaranth component


def setup(app: Sphinx) -> dict[str, Any]:
    """Write the generated pages, then let Sphinx look for pages."""
    app.connect("builder-inited", lambda app: generated.write(Path(app.srcdir) / generated.FOLDER))
    app.connect("source-read", checkout_links.rewrite)
    app.add_directive("mermaid", diagrams.Mermaid)
    docstrings.connect(app)
    return {"parallel_read_safe": True}
