"""The build cache: what makes a new build, what a failure or an interruption leaves."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from sim.toolchain import find_toolchain
from sim.verilate import BUILD_FOLDER, LZ4_STORED, Simulation, verilate
from sw.errors import UserError

GOOD = "module top(input clk, output reg q); always @(posedge clk) q <= ~q; endmodule\n"


@pytest.fixture
def folder(tmp_path):
    """An empty build folder but for Verilator's own library, which takes long to compile."""
    for runtime in BUILD_FOLDER.glob("runtime-*"):
        shutil.copytree(runtime, tmp_path / runtime.name)
    return tmp_path


def test_build_is_kept_until_its_content_changes(folder):
    def build(text):
        return verilate("top", {"top.v": text}, "top", folder=folder)

    first = build(GOOD)
    made = first.program.stat().st_mtime_ns
    assert build(GOOD) == first
    assert first.program.stat().st_mtime_ns == made
    assert (first.folder / "build.log").exists()
    assert build(GOOD.replace("~q", "!q")).folder != first.folder


def test_failed_build_leaves_its_log_only(tmp_path):
    with pytest.raises(UserError, match=r"the Verilator build of top failed, see .*\.log:\n.*syntax error"):
        verilate("top", {"top.v": "module top(; endmodule\n"}, "top", folder=tmp_path)
    assert [path.suffix for path in tmp_path.iterdir() if not path.name.startswith("runtime-")] == [".log"]


def test_interrupted_build_leaves_nothing(tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Simulation, "_execute_cmds", interrupt)
    with pytest.raises(KeyboardInterrupt):
        verilate("top", {"top.v": GOOD}, "top", folder=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_stored_lz4_blocks_are_valid(tmp_path):
    source = tmp_path / "store.cpp"
    source.write_text(
        '#include <stdio.h>\n#include <stdlib.h>\n#include "lz4.h"\n'
        "int main(int, char** a) {\n"
        "    int size = atoi(a[1]), bound = LZ4_compressBound(size);\n"
        "    char *in = (char*)malloc(size + 1), *out = (char*)malloc(bound);\n"
        "    for (int i = 0; i < size; i++) in[i] = (char)(i * 7);\n"
        "    fwrite(out, 1, LZ4_compress_default(in, out, size, bound), stdout);\n"
        "}\n"
    )
    program = tmp_path / "store"
    subprocess.run(["g++", f"-I{LZ4_STORED.parent}", str(source), "-o", str(program)], check=True)
    for size in (0, 1, 14, 15, 16, 269, 270, 271, 100_000):
        block = subprocess.run([str(program), str(size)], capture_output=True, check=True).stdout
        assert stored_block(block) == bytes(i * 7 % 256 for i in range(size))


def stored_block(block: bytes) -> bytes:
    """Decode an LZ4 block of one sequence of literals, as the block format describes it."""
    length, position = block[0] >> 4, 1
    if length == 15:
        while True:
            length, position = length + block[position], position + 1
            if block[position - 1] != 255:
                break
    assert block[0] & 15 == 0, "the last sequence has no match"
    assert len(block) == position + length
    return block[position:]


def test_version_names_verilator_and_compiler():
    version = find_toolchain().version
    assert "Verilator" in version
    assert "g++" in version
