"""Pages are run as `tests.documented` says: what differs or fails is found, with its place."""

from __future__ import annotations

import pytest

from tests.documented import run_page


def test_blocks_run_in_order_and_files_are_written(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "Write `numbers.txt`:\n\n```text\n3\n4\n```\n\n"
        "```python\nfrom pathlib import Path\n\nnumbers = Path('numbers.txt').read_text().split()\n```\n\n"
        "Their sum\n\n```python\nprint(sum(map(int, numbers)))\nPath('out').write_text('seven')\n```\n\nprints\n\n"
        "```text\n7\n```\n\n```console\n$ cat out numbers.txt\nseven3\n...\n$ wc -l < numbers.txt\n2\n```\n"
    )
    run_page(page, tmp_path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("```python\nprint(1)\n```\n\nprints\n\n```text\n2\n```\n", r"page.md:3: the page shows .*\n- 2\n\+ 1"),
        (
            "```console\n$ echo one\n$ echo two\nthree\n```\n",
            r"page.md:3: echo two: the page shows .*\n- three\n\+ two",
        ),
        ("```console\n$ echo bad; false\n```\n", r"page.md:3: echo bad; false: exit code 1\nbad"),
        ("```console\n$ echo one\none\nmore\n```\n", r"page.md:3: echo one: the page shows .*\n  one\n- more"),
    ],
)
def test_what_is_not_so_is_found(text, said, tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"# Page\n\n{text}")
    with pytest.raises(AssertionError, match=said):
        run_page(page, tmp_path)


def test_excerpts_are_not_run(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("<!-- excerpt sw/network.py NetworkConfig -->\n```python\nraise ValueError\n```\n")
    run_page(page, tmp_path)
