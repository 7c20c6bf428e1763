"""The folder of an IP core: whole, the same every time; what is in it names what is there."""

from __future__ import annotations

import ast
import asyncio
import json
import re
import sys
from types import ModuleType, SimpleNamespace

import numpy as np

from hw.named_configs import MINI
from sw.checkout import ROOT
from sw.driver.results import LayerCounters
from sw.ip.package import SYNCHRONISER, core_name, ip_files


def test_the_same_files_come_every_time(files):
    assert ip_files(MINI) == files


def test_texts_name_no_place_and_no_time(files):
    for path, text in files.items():
        assert not re.search(r"/home|/tmp|/work|20\d\d-\d\d", text), path
        assert text.endswith("\n") and "{{" not in text, path


def test_constraints_name_what_is_there(files):
    core = core_name(MINI)
    assert f"[get_cells -hierarchical {SYNCHRONISER}]" in files[f"constraints/{core}.xdc"]
    register = SYNCHRONISER.removesuffix("_reg")  # Vivado calls the flip-flop of a register so
    for path in ("hdl/portable/mini.v", "hdl/xilinx/mini.v"):
        top = files[path][files[path].index("module spikeloom(") :].split("endmodule")[0]
        assert re.search(rf'ASYNC_REG = "TRUE" \*\)\n  reg {register} ', top)
        assert re.search(rf"{register} <= ~aresetn|{register} <= .*", top)
        assert "input aclk;" in top
    assert "[get_ports aclk]" in files[f"constraints/{core}_ooc.xdc"]


def test_notebook_is_of_its_format(files):
    content = json.loads(files["pynq/spikeloom.ipynb"])
    assert (content["nbformat"], content["nbformat_minor"]) == (4, 5)
    assert len({cell["id"] for cell in content["cells"]}) == len(content["cells"])
    for cell in content["cells"]:
        keys = {"cell_type", "id", "metadata", "source"}
        keys |= {"execution_count", "outputs"} if cell["cell_type"] == "code" else set()
        assert cell.keys() == keys
        assert re.fullmatch(r"[\w-]{1,64}", cell["id"])
        text = "".join(cell["source"])
        assert "{" not in text or cell["cell_type"] == "code"
        if cell["cell_type"] == "code":
            compile(text, cell["id"], "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


def test_c_files_are_those_of_the_driver(files):
    assert {path for path in files if path.startswith("c/")} == {
        "c/spikeloom.h", "c/spikeloom_driver.h", "c/spikeloom_driver.c"
    }  # fmt: skip


class Found:
    """What `Accelerator.classify` gives, for the notebook."""

    def __init__(self, images):
        self.predictions = self.cycles = np.arange(len(images))
        self.jobs = [SimpleNamespace(layers=[LayerCounters(*range(8))])]


def test_notebook_runs_to_its_end_on_a_board_that_is_none(files, monkeypatch, tmp_path, capsys):
    """Its lines are Python that runs; bitstream, bus and accelerator are stand-ins that note what they are told."""
    told = []

    class Overlay:
        def __init__(self, bitfile, download):
            told.append((bitfile, download))
            self.ip_dict = {"spikeloom": {}}

    def open_pynq(bitfile, interrupts):
        told.append((str(bitfile), interrupts))
        return SimpleNamespace(close=lambda: told.append("closed"))

    class Accelerator:
        def __init__(self, bus, artifact, config):
            told.extend([artifact.dataset, config])
            self.program = SimpleNamespace(names=["load"])

        async def classify(self, images, counters):
            told.append((images.shape, images.dtype, counters))
            return Found(images)

    for name, members in {
        "pynq": {"Overlay": Overlay}, "sw.driver.pynq_bus": {"open_pynq": open_pynq},
        "sw.driver.accelerator": {"Accelerator": Accelerator},
    }.items():  # fmt: skip
        module = ModuleType(name)
        vars(module).update(members)
        monkeypatch.setitem(sys.modules, name, module)
    (tmp_path / "spikeloom").symlink_to(ROOT)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(sys, "path", [*sys.path])
    names: dict[str, object] = {}
    for cell in json.loads(files["pynq/spikeloom.ipynb"])["cells"]:
        if cell["cell_type"] == "code":
            code = compile("".join(cell["source"]), cell["id"], "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
            running = eval(code, names)
            if running is not None:
                asyncio.run(running)
    bitfile = f"kv260/{core_name(MINI)}.bit"
    assert told == [
        (bitfile, False), (bitfile, True), "fashion-mnist", MINI, ((16, 1, 28, 28), np.uint8, True), "closed"
    ]  # fmt: skip
    shown = capsys.readouterr().out
    assert (
        f"predicted {list(range(16))}" in shown and "load                     0         1        20         7" in shown
    )
