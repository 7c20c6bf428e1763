"""Plain ports with chosen names around a component, for emitted Verilog."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from amaranth.hdl import ClockDomain, Elaboratable, Module, Signal, Value
from amaranth.hdl._ir import PortDirection  # the only way to state directions in a port dictionary
from amaranth.lib import data, wiring

CLOCK = "aclk"
"""Port of `AxiPorts` that is its clock."""

RESET_LATENCY = 2
"""Cycles from ``aresetn`` to the reset of `AxiPorts`, at its beginning and at its end."""

RESET_CYCLES = RESET_LATENCY + 1
"""For how many cycles ``aresetn`` must be low at least, so that nothing is offered on AXI behind it."""


class FlatPorts(Elaboratable):
    """A component with plain ports, in the scope of the component itself.

    Members are joined by single underscores (Amaranth's own flattening writes two), a struct becomes one port per
    field, and the ``payload`` of a stream is left out of the name, or called ``data`` if it has no fields. No module
    is added around the component, so its signals stay at the top.

    Parameters
    ----------
    component : wiring.Component
    prefixes : mapping of str to str
        Other names for the first part of a member's path.

    Attributes
    ----------
    ports : dict of str to (Signal, PortDirection)
        For `amaranth.back.verilog.convert`.
    """

    def __init__(self, component: wiring.Component, prefixes: Mapping[str, str] | None = None):
        self._component = component
        self._fields: list[tuple[Value, Signal, PortDirection]] = []
        self.ports: dict[str, tuple[Signal, PortDirection]] = {}
        for path, member, value in component.signature.flatten(component):
            words = [(prefixes or {}).get(str(path[0]), str(path[0])), *map(str, path[1:])]
            direction = PortDirection.Input if member.flow == wiring.In else PortDirection.Output
            struct = isinstance(value, data.View) and isinstance(value.shape(), data.StructLayout)
            if words[-1] == "payload":
                words[-1:] = [] if struct else ["data"]
            name = "_".join(words)
            if struct:
                for field, _ in value.shape():
                    part = Value.cast(value[field])
                    port = Signal(len(part), name=f"{name}_{field}")
                    self._fields.append((part, port, direction))
                    self.ports[f"{name}_{field}"] = (port, direction)
            else:
                signal = Value.cast(value)
                assert isinstance(signal, Signal), name
                self.ports[name] = (signal, direction)

    def elaborate(self, platform: Any) -> Module:
        """The component's own module, with the fields of its structs connected to their ports."""
        m = self._component.elaborate(platform)
        self._component._MustUse__used = True
        for part, port, direction in self._fields:
            m.d.comb += part.eq(port) if direction is PortDirection.Input else port.eq(part)
        return m


class AxiPorts(FlatPorts):
    """The accelerator's ports as Vivado's packager infers interfaces from them, with clock and reset of AXI.

    ``<interface>_<signal>`` makes the bus interfaces; the attributes say which clock they belong to, what the reset's
    polarity and the interrupt's kind is. The clock's frequency is left to the block design.

    ``aresetn`` may come and go at any time: what resets is the second of two registers behind it, `RESET_LATENCY`
    cycles later. Power-up of a device with initial values is a reset too.

    Parameters
    ----------
    component : wiring.Component
        With the members ``s_axi_ctrl``, ``m_axi_mem`` and ``interrupt``.
    """

    def __init__(self, component: wiring.Component):
        super().__init__(component)
        self._clock = Signal(
            name=CLOCK,
            attrs={
                "X_INTERFACE_INFO": "xilinx.com:signal:clock:1.0 aclk CLK",
                "X_INTERFACE_PARAMETER": "XIL_INTERFACENAME aclk, ASSOCIATED_BUSIF s_axi_ctrl:m_axi_mem, "
                "ASSOCIATED_RESET aresetn",
            },
        )
        self._reset = Signal(
            name="aresetn",
            attrs={
                "X_INTERFACE_INFO": "xilinx.com:signal:reset:1.0 aresetn RST",
                "X_INTERFACE_PARAMETER": "XIL_INTERFACENAME aresetn, POLARITY ACTIVE_LOW",
            },
        )
        clocking = {signal.name: (signal, PortDirection.Input) for signal in (self._clock, self._reset)}
        self.ports = {**clocking, **self.ports}
        self.ports["interrupt"][0].attrs.update(
            X_INTERFACE_INFO="xilinx.com:signal:interrupt:1.0 interrupt INTERRUPT",
            X_INTERFACE_PARAMETER="XIL_INTERFACENAME interrupt, SENSITIVITY LEVEL_HIGH",
        )

    def elaborate(self, platform: Any) -> Module:
        """The component's own module in a domain that these clock and reset drive."""
        m = super().elaborate(platform)
        m.domains.sync = sync = ClockDomain("sync")
        sync.clk, reset = self._clock, ~self._reset
        for stage in range(RESET_LATENCY):
            # The attribute keeps them side by side, and out of a shift register.
            register = Signal(name=f"reset_{stage}", init=1, reset_less=True, attrs={"ASYNC_REG": "TRUE"})
            m.d.sync += register.eq(reset)
            reset = register
        m.d.comb += sync.rst.eq(reset)
        return m
