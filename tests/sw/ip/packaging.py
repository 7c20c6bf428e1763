"""Packaging of an IP core as far as a script can get it wrong: interfaces, clocks, registers, address spaces."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from tests.sw.ip.block_design import require
from tests.sw.ip.catalogue import PROPERTIES, Ip

AXI_LITE = "awaddr awprot awvalid awready wdata wstrb wvalid wready bresp bvalid bready araddr arprot arvalid arready "
AXI_LITE += "rdata rresp rvalid rready"
AXI = ["id", "addr", "len", "size", "burst", "lock", "cache", "prot", "qos", "valid", "ready"]
AXI_FULL = [prefix + name for prefix in ("aw", "ar") for name in AXI] + AXI_LITE.split()
AXI_FULL += ["wlast", "bid", "rid", "rlast"]
PORTS = {"s_axi_ctrl": (AXI_LITE.split(), "slave"), "m_axi_mem": (AXI_FULL, "master")}
"""Ports of an interface by the name of each, and its mode: what the packager needs to infer them."""

OTHER_PORTS = {"aclk": "in", "aresetn": "in", "interrupt": "out"}


class Objects:
    """What commands return and take: a handle of some kind, with properties."""

    def __init__(self) -> None:
        self.kinds: dict[str, str] = {}
        self.values: dict[str, dict[str, str]] = {}

    def add(self, handle: str, kind: str, **values: str) -> str:
        self.kinds[handle], self.values[handle] = kind, dict(values)
        return handle

    def clear(self) -> None:
        """Forget all, as Vivado does when a project is closed."""
        self.kinds.clear()
        self.values.clear()

    def expect(self, handle: str, *kinds: str) -> None:
        require(self.kinds.get(handle) in kinds, f"{handle!r} is no {' or '.join(kinds)}")


class Packager:
    """The commands ``ipx::...``.

    Parameters
    ----------
    objects : Objects
        Of the session.
    files : callable
        Gives the files of the project by name.
    """

    def __init__(self, objects: Objects, files: Callable[[], dict[str, Path]]):
        self._objects, self._files = objects, files
        self.saved: dict[str, tuple[Path, Ip]] = {}
        """Where each core is, by its name in the catalogue."""
        self.registers: dict[str, dict[str, str]] = {}

    def package_project(self, options):
        files = self._files()
        top = self._objects.values["sources_1"].get("top")
        (verilog,) = [path for path in files.values() if path.suffix == ".v"]
        module = re.search(rf"^module {top}\((.*?)\);(.*?)^endmodule", verilog.read_text(), re.DOTALL | re.MULTILINE)
        require(module is not None, f"no module {top} in {verilog.name}")
        constraints = {path.name for path in files.values() if path.suffix == ".xdc"}
        for name in constraints:
            values = self._objects.values[f"file:{name}"]
            require(values["fileset"] == "constrs_1" and "used_in" in values, f"{name} is used nowhere")
        ports = {name.strip() for name in module[1].split(",")}
        expected = set(OTHER_PORTS) | {f"{name}_{port}" for name, (some, _) in PORTS.items() for port in some}
        require(ports == expected, f"ports differ: {sorted(ports ^ expected)}")
        self._root = Path(options["-root_dir"])
        self._objects.add("core", "core", vendor=options["-vendor"], library=options["-library"])
        for name in (*PORTS, *OTHER_PORTS):
            self._objects.add(f"busif:{name}", "bus interface")
        # As the packager guesses them.
        self._maps, self._spaces = {"guessed": ""}, {"guessed": ""}
        self._objects.add("map:guessed", "memory map", name="guessed")
        self._objects.add("space:guessed", "address space", name="guessed")
        self._clocked: set[str] = set()
        self.registers = {}

    def current_core(self, options):
        self._objects.expect("core", "core")
        return "core"

    def associate_bus_interfaces(self, options, core):
        self._objects.expect(core, "core")
        require(options["-clock"] == "aclk" and options.get("-reset", "aresetn") == "aresetn", f"unknown {options}")
        require(("-busif" in options) != ("-reset" in options), "either -busif or -reset")
        require(options.get("-busif", "s_axi_ctrl") in PORTS, f"no interface {options.get('-busif')}")
        self._clocked.add(options.get("-busif", "reset"))

    def get_bus_interfaces(self, options, name):
        self._objects.expect(options["-of_objects"], "core")
        self._objects.expect(f"busif:{name}", "bus interface")
        return f"busif:{name}"

    def get_memory_maps(self, options):
        self._objects.expect(options["-of_objects"], "core")
        return " ".join(f"map:{name}" for name in self._maps)

    def remove_memory_map(self, options, name, core):
        require(name in self._maps, f"no memory map {name}")
        del self._maps[name]

    def add_memory_map(self, options, name, core):
        self._objects.expect(core, "core")
        require(name not in self._maps, f"there is a memory map {name} already")
        self._maps[name] = ""
        return self._objects.add(f"map:{name}", "memory map", name=name)

    def add_address_block(self, options, name, memory_map):
        self._objects.expect(memory_map, "memory map")
        self._maps[self._objects.values[memory_map]["name"]] = name
        return self._objects.add(f"block:{name}", "address block", name=name)

    def add_register(self, options, name, block):
        self._objects.expect(block, "address block")
        require(name not in self.registers, f"two registers {name}")
        handle = self._objects.add(f"register:{name}", "register")
        self.registers[name] = self._objects.values[handle]
        return handle

    def get_address_spaces(self, options):
        self._objects.expect(options["-of_objects"], "core")
        return " ".join(f"space:{name}" for name in self._spaces)

    def remove_address_space(self, options, name, core):
        require(name in self._spaces, f"no address space {name}")
        del self._spaces[name]

    def add_address_space(self, options, name, core):
        self._objects.expect(core, "core")
        require(name not in self._spaces, f"there is an address space {name} already")
        self._spaces[name] = ""
        return self._objects.add(f"space:{name}", "address space", name=name)

    def create_xgui_files(self, options, core):
        self._objects.expect(core, "core")

    def update_checksums(self, options, core):
        self._objects.expect(core, "core")

    def check_integrity(self, options, core):
        require(self._clocked == {*PORTS, "reset"}, f"only {sorted(self._clocked)} have a clock")
        slave = self._objects.values["busif:s_axi_ctrl"].get("slave_memory_map_ref")
        master = self._objects.values["busif:m_axi_mem"].get("master_address_space_ref")
        require(slave in self._maps and self._maps[slave], "s_axi_ctrl has no memory map with a block")
        require(master in self._spaces, "m_axi_mem has no address space")
        require(len(self._maps) == len(self._spaces) == 1, f"more than one of {[*self._maps]} or {[*self._spaces]}")
        block = self._objects.values[f"block:{self._maps[slave]}"]
        require(PROPERTIES["address block"].keys() <= block.keys(), "the address block is not whole")
        for name, values in self.registers.items():
            require(PROPERTIES["register"].keys() == values.keys(), f"register {name} is not whole")
            require(int(values["address_offset"], 16) < int(block["range"]), f"register {name} is outside")
        require(
            PROPERTIES["address space"].keys() <= self._objects.values[f"space:{master}"].keys(),
            "the space is not whole",
        )
        self._packaged = Ip(
            OTHER_PORTS, {name: mode for name, (_, mode) in PORTS.items()},
            segments={"s_axi_ctrl": ("s_axi_ctrl", self._maps[slave])}, spaces={master: "m_axi_mem"},
        )  # fmt: skip

    def save_core(self, options, core):
        values = self._objects.values[core]
        missing = PROPERTIES["core"].keys() - values.keys()
        require(not missing, f"the core has no {', '.join(sorted(missing))}")
        name = ":".join(values[part] for part in ("vendor", "library", "name", "version"))
        self.saved[name] = (self._root, self._packaged)
