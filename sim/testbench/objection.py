"""What the testbench saw at the accelerator's ports that must not be."""

from __future__ import annotations

from typing import Any

RULE_BYTES = 40
"""Length of the longest name of a rule of `sim.axi_rules`."""


def objection(dut: Any) -> str | None:
    """The first thing since the last reset, in words; None if there was none.

    Parameters
    ----------
    dut : handle
        The testbench.
    """
    if dut.out_of_range.value:
        return f"access beyond the end of the memory image (byte address 0x{int(dut.wrong_address.value):X})"
    for port, broken in (("m_axi_mem", dut.mem_broken), ("s_axi_ctrl", dut.ctrl_broken)):
        rule = int(broken.value).to_bytes(RULE_BYTES, "big").lstrip(b"\0").decode()
        if rule:
            return f"{port} breaks the rule {rule}"
    return None
