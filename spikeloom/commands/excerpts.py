"""Code of the checkout that pages of the documentation show, renewed from its files by `spikeloom docs`."""

from __future__ import annotations

import ast
import re
import textwrap
from pathlib import Path

from sw.checkout import ROOT
from sw.errors import UserError

PAGES = ROOT / "docs" / "tutorials"
"""Pages that show code."""

EXCERPT = re.compile(
    r"(?P<mark><!-- excerpt (?P<file>\S+) (?P<name>\S+) -->\n```python\n).*?(?P<end>^```$)", re.MULTILINE | re.DOTALL
)
"""A block below a comment that names a file, and in it a function, class, constant or method, ``Class.method``."""


def renewed(page: Path) -> str:
    """A page with the code that its excerpts name.

    Raises
    ------
    UserError
        If there is no such code.
    """

    def code(match: re.Match[str]) -> str:
        file, name = match["file"], match["name"]
        if not (ROOT / file).is_file() or (text := excerpt(ROOT / file, name)) is None:
            raise UserError(f"{page}: {file} has no {name}: name the code to show in the comment above its block")
        return match["mark"] + text + match["end"]

    return EXCERPT.sub(code, page.read_text(encoding="utf-8"))


def excerpt(file: Path, name: str) -> str | None:
    """Lines of a Python file that define a name, not indented; None if it defines none of that name."""
    source = file.read_text(encoding="utf-8")
    node: ast.AST = ast.parse(source)
    for part in name.split("."):
        found = [child for child in getattr(node, "body", ()) if part in _names(child)]
        if not found:
            return None
        node = found[0]
    assert isinstance(node, ast.stmt) and node.end_lineno is not None
    first = min(inner.lineno for inner in (node, *getattr(node, "decorator_list", ())))
    return textwrap.dedent("".join(source.splitlines(keepends=True)[first - 1 : node.end_lineno]))


def _names(node: ast.stmt) -> list[str]:
    """Names that a statement defines."""
    if isinstance(node, ast.ClassDef | ast.FunctionDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return [target.id for target in targets if isinstance(target, ast.Name)]
