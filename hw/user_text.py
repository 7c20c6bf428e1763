"""What users write, made safe to repeat: short in a message, and as a name of files and modules."""

from __future__ import annotations

import re
import reprlib
from collections.abc import Iterable

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,47}", re.ASCII)

VERILOG = """
always and assign automatic begin buf bufif0 bufif1 case casex casez cell cmos config deassign default defparam design
disable edge else end endcase endconfig endfunction endgenerate endmodule endprimitive endspecify endtable endtask
event for force forever fork function generate genvar highz0 highz1 if ifnone incdir include initial inout input
instance integer join large liblist library localparam macromodule medium module nand negedge nmos nor noshowcancelled
not notif0 notif1 or output parameter pmos posedge primitive pull0 pull1 pulldown pullup pulsestyle_ondetect
pulsestyle_onevent rcmos real realtime reg release repeat rnmos rpmos rtran rtranif0 rtranif1 scalared showcancelled
signed small specify specparam strong0 strong1 supply0 supply1 table task time tran tranif0 tranif1 tri tri0 tri1
triand trior trireg unsigned use uwire vectored wait wand weak0 weak1 while wire wor xnor xor
"""
SYSTEM_VERILOG = """
accept_on alias always_comb always_ff always_latch assert assume before bind bins binsof bit break byte chandle
checker class clocking const constraint context continue cover covergroup coverpoint cross dist do endchecker endclass
endclocking endgroup endinterface endpackage endprogram endproperty endsequence enum eventually expect export extends
extern final first_match foreach forkjoin global iff ignore_bins illegal_bins implements implies import inside int
interconnect interface intersect join_any join_none let local logic longint matches modport nettype new nexttime null
package packed priority program property protected pure rand randc randcase randsequence ref reject_on restrict return
s_always s_eventually s_nexttime s_until s_until_with sequence shortint shortreal soft solve static string strong
struct super sync_accept_on sync_reject_on tagged this throughout timeprecision timeunit type typedef union unique
unique0 until until_with untyped var virtual void wait_order weak wildcard with within
"""
C = "auto char double float goto inline long register short sizeof switch volatile"
RESERVED = frozenset(f"{VERILOG} {SYSTEM_VERILOG} {C}".split()) - {"large", "medium", "small"}
"""Words of IEEE 1364-2005, of IEEE 1800-2017 and of C11 where in neither; less charge strengths of Verilog, which
named configurations from the beginning."""


def quoted(value: object, limit: int = 60) -> str:
    """A value as Python writes it, with the middle left out where that would be long or deep.

    Parameters
    ----------
    value : object
        Anything out of a file: any size, any depth.
    limit : int
        Most characters, at least 12.

    Examples
    --------
    >>> quoted("tiny"), quoted("x" * 1000, 20), quoted([1] * 1000, 20)
    ("'tiny'", "'xxxxxxx...xxxxxxxx'", '[1, 1, 1, 1, ...]')
    """
    short = reprlib.Repr()
    short.maxlevel, short.maxlist, short.maxtuple, short.maxdict, short.maxarray = 3, 4, 4, 4, 4
    short.maxstring = short.maxlong = short.maxother = limit
    try:
        text = short.repr(value)
    except ValueError:  # Python writes no integer of more than 4,300 digits
        text = f"<{type(value).__name__} of {value.bit_length()} bits>" if isinstance(value, int) else "<too long>"
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


def listed(names: Iterable[str], limit: int = 120) -> str:
    """Names in their order with commas between, as many as fit; for the others how many they are.

    Parameters
    ----------
    names : iterable of str
        Characters that are not printable are escaped.
    limit : int
        Most characters of the names.

    Examples
    --------
    >>> listed(["a", "b"]), listed(["conv0", "conv1", "conv2"], 12)
    ('a, b', 'conv0, conv1 and 1 more')
    """
    texts = [name if name.isprintable() else repr(name)[1:-1] for name in names]
    shown: list[str] = []
    for text in texts:
        if len(", ".join([*shown, text])) > limit:
            break
        shown.append(text)
    if not shown and texts:
        shown = [f"{texts[0][: limit - 3]}..."]
    left = len(texts) - len(shown)
    return ", ".join(shown) + (f" and {left} more" if left else "")


def check_name(name: object) -> None:
    """Refuse a name that is not fit for a file, a module or a macro.

    Raises
    ------
    ValueError
        If it is not 1 to 48 ASCII letters, digits, ``_`` and ``-``, a letter or ``_`` first, or is a reserved word of
        Verilog, SystemVerilog or C.
    """
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise ValueError(
            f"name must be 1 to 48 letters, digits, '_' and '-', not a digit or '-' first, not {quoted(name)}"
        )
    if name in RESERVED:
        raise ValueError(f"name must not be a reserved word of Verilog or C, not {name!r}; choose another")
