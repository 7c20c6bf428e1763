"""Environments of child processes: what compilers and simulators need, and nothing that was set for other projects.

Variables of the same names mean the same to every cocotb project (``COCOTB_TEST_FILTER``, ``GPI_EXTRA``) and to every
makefile (``CXXFLAGS``, ``LDFLAGS``, any variable at all that Verilator's adds to): exported for another project they
would choose other tests here, or break the build.
"""

from __future__ import annotations

import os

from sw.errors import UserError

KEPT = {
    "PATH", "HOME", "USER", "LOGNAME", "SHELL", "TERM", "TMPDIR", "TEMP", "TMP", "LANG", "LANGUAGE",
    # Where the compiler of the user finds headers and libraries.
    "CPATH", "C_INCLUDE_PATH", "CPLUS_INCLUDE_PATH", "LIBRARY_PATH", "COMPILER_PATH", "GCC_EXEC_PREFIX",
    "VERILATOR_ROOT", "VERILATOR_SOLVER",
}  # fmt: skip
"""Variables that are passed on."""

KEPT_PREFIXES = ("LC_", "LD_", "PYTHON", "OMP_", "MKL_", "NIX_", "CCACHE_", "XDG_")
"""Beginnings of others."""

SWITCHES = {
    **dict.fromkeys(("1", "yes", "y", "on", "true", "enable"), True),
    **dict.fromkeys(("", "0", "no", "n", "off", "false", "disable"), False),
}
"""Values of a variable that is on or off, as cocotb reads them."""


def own_environment() -> dict[str, str]:
    """What of this process's environment its children get."""
    kept = {name: value for name, value in os.environ.items() if name in KEPT or name.startswith(KEPT_PREFIXES)}
    return {"PATH": os.defpath, **kept}


def switch(name: str) -> bool:
    """Whether a variable of the environment is on.

    Raises
    ------
    UserError
        If it is neither on nor off.
    """
    value = os.environ.get(name, "")
    if value.lower() not in SWITCHES:
        raise UserError(f"{name} is {value[:100]!r} in the environment, it can be on or off: set it to 1 or 0")
    return SWITCHES[value.lower()]
