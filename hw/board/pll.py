"""A clock made from another on Lattice's ECP5."""

from __future__ import annotations

from dataclasses import dataclass

from amaranth.hdl import Instance, Module, Signal

VCO_HZ = range(400_000_000, 800_000_001)
"""Frequencies that the oscillator may have; the middle is best."""

SLOWEST_INPUT_HZ = 3_125_000
"""Of what is compared: the input clock, divided."""


@dataclass(frozen=True)
class PllDividers:
    """What an EHXPLLL divides by, with its own output as feedback.

    Attributes
    ----------
    input, feedback, output : int
        ``output clock = input clock / input * feedback``, the oscillator runs `output` times faster.
    """

    input: int
    feedback: int
    output: int

    @classmethod
    def find(cls, input_hz: int, output_hz: int) -> PllDividers:
        """Dividers for a clock.

        Raises
        ------
        ValueError
            If there are none that give it exactly.
        """
        middle = (VCO_HZ.start + VCO_HZ.stop) // 2
        output = min(range(1, 129), key=lambda divider: abs(divider * output_hz - middle))
        for divider in range(1, input_hz // SLOWEST_INPUT_HZ + 1):
            feedback, rest = divmod(output_hz * divider, input_hz)
            if not rest and 1 <= feedback <= 80 and output * output_hz in VCO_HZ:
                return cls(divider, feedback, output)
        raise ValueError(f"no PLL makes {output_hz} Hz of {input_hz} Hz: choose a multiple of a small part of it")


def add_pll(m: Module, input_clock: Signal, input_hz: int, output_clock: Signal, output_hz: int) -> Signal:
    """Put a PLL into a module.

    Parameters
    ----------
    m : Module
    input_clock, output_clock : Signal
    input_hz, output_hz : int

    Returns
    -------
    Signal
        Whether it has locked, of no clock.
    """
    dividers, locked = PllDividers.find(input_hz, output_hz), Signal()
    m.submodules.pll = Instance(
        "EHXPLLL",
        a_FREQUENCY_PIN_CLKI=str(input_hz / 1e6),
        a_FREQUENCY_PIN_CLKOP=str(output_hz / 1e6),
        a_ICP_CURRENT="12",
        a_LPF_RESISTOR="8",
        a_MFG_ENABLE_FILTEROPAMP="1",
        a_MFG_GMCREF_SEL="2",
        p_CLKI_DIV=dividers.input,
        p_CLKFB_DIV=dividers.feedback,
        p_FEEDBK_PATH="CLKOP",
        p_CLKOP_ENABLE="ENABLED",
        p_CLKOP_DIV=dividers.output,
        p_CLKOP_CPHASE=dividers.output - 1,
        p_CLKOP_FPHASE=0,
        p_OUTDIVIDER_MUXA="DIVA",
        p_PLLRST_ENA="DISABLED",
        p_INTFB_WAKE="DISABLED",
        p_STDBY_ENABLE="DISABLED",
        p_DPHASE_SOURCE="DISABLED",
        i_CLKI=input_clock,
        i_CLKFB=output_clock,
        i_RST=0,
        i_STDBY=0,
        i_PHASESEL0=0,
        i_PHASESEL1=0,
        i_PHASEDIR=0,
        i_PHASESTEP=0,
        i_PHASELOADREG=0,
        i_PLLWAKESYNC=0,
        i_ENCLKOP=0,
        o_CLKOP=output_clock,
        o_LOCK=locked,
    )
    return locked
