"""The GTKWave save file that goes with a waveform: the signals one looks at first, in groups."""

from __future__ import annotations

import io
import re
from pathlib import Path

from vcd.gtkw import GTKWSave

from sw.files import write_atomically

WAVES_FILE = "dump.fst"
"""What a simulation with waveforms writes."""

GROUPS = {
    "job": (
        "aclk", "aresetn", "armed", "interrupt", "stop", "timeout", "elapsed", "out_of_range", "mem_broken",
        "ctrl_broken",
    ),
    "registers": (
        "s_axi_ctrl_awvalid", "s_axi_ctrl_awaddr", "s_axi_ctrl_wvalid", "s_axi_ctrl_wdata", "s_axi_ctrl_bvalid",
        "s_axi_ctrl_bresp", "s_axi_ctrl_arvalid", "s_axi_ctrl_araddr", "s_axi_ctrl_rvalid", "s_axi_ctrl_rdata",
        "s_axi_ctrl_rresp",
    ),
    "memory, reads": (
        "m_axi_mem_arvalid", "m_axi_mem_arready", "m_axi_mem_araddr", "m_axi_mem_arlen", "m_axi_mem_rvalid",
        "m_axi_mem_rready", "m_axi_mem_rdata", "m_axi_mem_rresp", "m_axi_mem_rlast", "beats_read",
    ),
    "memory, writes": (
        "m_axi_mem_awvalid", "m_axi_mem_awready", "m_axi_mem_awaddr", "m_axi_mem_wvalid", "m_axi_mem_wready",
        "m_axi_mem_wdata", "m_axi_mem_wlast", "m_axi_mem_bvalid", "m_axi_mem_bready", "m_axi_mem_bresp",
    ),
    "neurons": ("trace_layer", "trace_neuron_valid", "trace_neuron_data"),
    "spike memory": ("trace_spike_valid", "trace_spike_address", "trace_spike_banks", "trace_spike_data"),
    "residual memory": (
        "trace_residual_valid", "trace_residual_address", "trace_residual_banks", "trace_residual_data",
    ),
    "tokens": (
        "trace_token_valid", "trace_token_value", "trace_token_channel", "trace_token_chunk", "trace_token_data",
    ),
    "logits": ("trace_logit_valid", "trace_logit_index", "trace_logit_data"),
}  # fmt: skip
"""Signals by group; those that the accelerator has are shown there, the others in the testbench."""


def declared_widths(verilog: str, module: str) -> dict[str, int]:
    """Width of every wire, register and port of a module that is declared on a line of its own.

    Parameters
    ----------
    verilog : str
        Emitted Verilog or the testbench.
    module : str
        Name of the module.
    """
    begin = re.search(rf"^module {re.escape(module)}[\s(;]", verilog, re.MULTILINE)
    if begin is None:
        return {}
    body = verilog[begin.start() :].split("endmodule", 1)[0]
    declaration = re.compile(
        r"^\s*(?:input|output|wire|reg|logic)(?:\s+(?:reg|wire))?\s+(?:\[(\d+):0\]\s*)?(\w+)", re.MULTILINE
    )
    return {found[2]: int(found[1] or 0) + 1 for found in declaration.finditer(body)}


def save_file(verilog: str, testbench: str) -> str:
    """Text of the save file.

    Parameters
    ----------
    verilog : str
        The accelerator's Verilog.
    testbench : str
        The testbench's.
    """
    scopes = (
        ("testbench.dut.core", declared_widths(verilog, "\\spikeloom.core")),
        ("testbench.dut", declared_widths(verilog, "spikeloom")),
        ("testbench", declared_widths(testbench, "testbench")),
    )
    text = io.StringIO()
    save = GTKWSave(text)
    save.dumpfile(WAVES_FILE, abspath=False)
    for group, names in GROUPS.items():
        with save.group(group):
            for name in names:
                scope, width = next(((scope, widths[name]) for scope, widths in scopes if name in widths), (None, 0))
                if scope is not None:
                    bits = f"[{width - 1}:0]" if width > 1 else ""
                    save.trace(f"{scope}.{name}{bits}", datafmt="hex" if width > 1 else "bin")
    return text.getvalue()


def write_save_file(waves: Path, verilog: str, testbench: str) -> Path:
    """Write the save file beside the waveform ``dump.fst`` and return its path."""
    path = waves.with_suffix(".gtkw")
    write_atomically(path, save_file(verilog, testbench))
    return path
