"""`spikeloom docs`: code in the pages, and what it refuses."""

from __future__ import annotations

import pytest

from spikeloom import cli
from spikeloom.commands import docs, project
from spikeloom.commands.excerpts import excerpt, renewed
from sw.checkout import ROOT
from sw.errors import UserError


def test_excerpts_are_the_code_they_name(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("A\n\n<!-- excerpt sw/network.py RESIDUAL_CLAMP -->\n```python\nold\n```\n\nB\n")
    line = "RESIDUAL_CLAMP = 3\n"
    assert renewed(page) == f"A\n\n<!-- excerpt sw/network.py RESIDUAL_CLAMP -->\n```python\n{line}```\n\nB\n"
    source = tmp_path / "source.py"
    source.write_text("class A:\n    @staticmethod\n    def b():\n        return 1\n\n    c: int = 2\n")
    assert excerpt(source, "A.b") == "@staticmethod\ndef b():\n    return 1\n"
    assert excerpt(source, "A.c") == "c: int = 2\n"


@pytest.mark.parametrize(
    "what", ["sw/network.py NoSuchName", "sw/no_such_file.py A", "sw/network.py NetworkConfig.none"]
)
def test_an_excerpt_of_nothing_is_refused(what, tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"<!-- excerpt {what} -->\n```python\n```\n")
    file, name = what.split()
    with pytest.raises(UserError, match=f"page.md: {file} has no {name}: name the code to show"):
        renewed(page)


def test_a_site_needs_sphinx_and_is_not_only_checked(capsys, monkeypatch):
    monkeypatch.setattr(project.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(UserError, match=r"^sphinx is not installed: pip install .* '\.\[docs\]'$"):
        docs.build_site()
    assert cli.run(["docs", "--check", "--site"]) == cli.EXIT_MENDABLE
    assert "--check writes nothing, so no --site" in capsys.readouterr().err


def test_every_tutorial_is_in_the_site():
    contents = (ROOT / "docs" / "site" / "toc.yml").read_text()
    for page in (ROOT / "docs" / "tutorials").glob("*.md"):
        assert f"file: tutorials/{page.stem}\n" in contents
        assert f"(tutorials/{page.name})" in (ROOT / "docs" / "index.md").read_text()
