"""Vivado's commands as a Tcl interpreter has them that runs a script: checked against what is known, and recorded.

A script runs to its end or is refused with the reason. What the commands would leave on disk appears there, so that the
script's own file commands work.
"""

from __future__ import annotations

import re
import tkinter
from collections.abc import Callable
from pathlib import Path

from tests.sw.ip.block_design import BlockDesign, Refused, require
from tests.sw.ip.catalogue import COMMANDS, IPS, PROPERTIES, Command, Ip, matches
from tests.sw.ip.packaging import Objects, Packager


class Vivado:
    """A session.

    Parameters
    ----------
    slack : str
        Worst slack of an implementation, ns.
    progress : str
        How far an implementation gets.
    boards : bool
        Whether the board's file is installed.
    """

    def __init__(self, *, slack: str = "0.123", progress: str = "100%", boards: bool = True):
        self.slack, self.progress, self.boards = slack, progress, boards
        self.calls: list[tuple[str, ...]] = []
        self.design: BlockDesign | None = None
        self._objects = Objects()
        self.packager = Packager(self._objects, lambda: self._files)
        self._catalogue: dict[str, Ip] = {}
        self._project: Path | None = None
        self._files: dict[str, Path] = {}
        self._tcl = tkinter.Tcl()
        self._tcl.createcommand("vivado_call", self._call)
        for name in COMMANDS:
            space = name.rpartition("::")[0]
            self._tcl.eval(f"namespace eval ::{space} {{}}" if space else "")
            self._tcl.eval(
                f"proc ::{name} args {{ lassign [vivado_call {name} {{*}}$args] good result\n"
                'if {!$good} {error "refused: $result"}\nreturn $result }'
            )

    def source(self, script: Path) -> None:
        """Run a script; raises `Refused`."""
        try:
            self._tcl.call("source", str(script))
        except tkinter.TclError as error:
            raise Refused(str(error)) from None

    def _call(self, name: str, *words: str) -> tuple[int, object]:
        self.calls.append((name, *words))
        try:
            options, arguments = self._parse(COMMANDS[name], name, list(words))
            space, _, word = name.rpartition("::")
            method: Callable[..., object] = getattr(self.packager, word) if space else getattr(self, f"_{word}")
            return 1, method(options, *arguments) or ""
        except Refused as error:
            return 0, f"{name}: {error}"

    def _parse(self, command: Command, name: str, words: list[str]) -> tuple[dict[str, str], list[str]]:
        """Options and arguments of a call, each of them known and of its form."""
        options, arguments = {}, []
        while words:
            word = words.pop(0)
            if not re.fullmatch(r"-[a-z]\w*", word):
                arguments.append(word)
                continue
            require(word in command.options, f"unknown option {word}")
            require(word not in options, f"{word} twice")
            pattern = command.options[word]
            options[word] = ""
            if pattern is not None:
                require(words, f"{word} has no value")
                options[word] = words.pop(0)
                require(matches(pattern, options[word]), f"{word} cannot be {options[word]!r}")
        for option in command.required:
            require(option in options, f"{option} is missing")
        patterns = list(command.arguments)
        if patterns and patterns[-1].endswith("..."):
            last = patterns.pop().removesuffix("...")
            patterns += [last] * max(1, len(arguments) - len(patterns))
        require(len(arguments) == len(patterns), f"{len(arguments)} arguments, not {len(patterns)}")
        for argument, pattern in zip(arguments, patterns, strict=True):
            require(matches(pattern, argument), f"{argument!r} is no argument of {name}")
        return options, arguments

    def _split(self, text: str) -> list[str]:
        return [str(word) for word in self._tcl.splitlist(text)]

    # Projects and files.

    def _create_project(self, options, name, folder):
        require(self._project is None, "a project is open")
        self._project = Path(folder)
        self._project.mkdir(parents=True, exist_ok=True)
        self._project_name, self._files, self.design, self._launched = name, {}, None, False
        self._objects.add("project", "project", part=options["-part"])
        self._objects.add("sources_1", "fileset")

    def _close_project(self, options):
        require(self._project is not None, "no project is open")
        self._project = None
        self._objects.clear()

    def _current_project(self, options):
        require(self._project is not None, "no project is open")
        return "project"

    def _current_fileset(self, options):
        return "sources_1"

    def _add_files(self, options, files):
        for word in self._split(files):
            path = Path(word)
            require(path.is_file(), f"{word} does not exist")
            require(path.name not in self._files, f"{path.name} is there already")
            self._files[path.name] = path
            self._objects.add(f"file:{path.name}", "file", fileset=options.get("-fileset", "sources_1"))

    def _get_files(self, options, name):
        require(name in self._files, f"no file {name} in the project")
        return f"file:{name}"

    def _update_compile_order(self, options):
        require(self._objects.values["sources_1"].get("top"), "there is no top")

    def _set_property(self, options, *arguments):
        require(len(arguments) == (2 if options else 3), f"{len(arguments)} arguments")
        *_, handle = arguments
        pairs = self._split(arguments[0]) if options else list(arguments[:2])
        require(len(pairs) % 2 == 0, "a property has no value")
        for name, value in zip(pairs[::2], pairs[1::2], strict=True):
            if self._objects.kinds.get(handle) == "cell":
                require(self.design is not None and name.startswith("CONFIG."), f"cells have no property {name}")
                self.design.configure(handle, name.removeprefix("CONFIG."), value)
                continue
            known = PROPERTIES.get(self._objects.kinds.get(handle, ""), {})
            require(name in known, f"{handle!r} has no property {name}")
            require(matches(known[name], value), f"{name} cannot be {value!r}")
            if name == "board_part":
                self._objects.expect(value, "board part")
            self._objects.values[handle][name] = value

    def _get_property(self, options, name, handle):
        if self._objects.kinds.get(handle) == "run":
            found = {"PROGRESS": self.progress, "STATS.WNS": self.slack, "DIRECTORY": str(self._run_folder())}
            require(name in found and self._launched, f"the run has no {name}")
            return found[name]
        require(name in self._objects.values.get(handle, {}), f"{handle!r} has no property {name}")
        return self._objects.values[handle][name]

    def _get_board_parts(self, options, pattern):
        return self._objects.add(f"maker.com{pattern[1:-1]}1.0", "board part") if self.boards else ""

    def _update_ip_catalog(self, options):
        folders = [Path(word) for word in self._split(self._objects.values["project"].get("ip_repo_paths", ""))]
        self._catalogue = {name: ip for name, (folder, ip) in self.packager.saved.items() if folder in folders}

    # Block designs.

    def _create_bd_design(self, options, name):
        require("board_part" in self._objects.values["project"], "the project has no board")
        self.design, self._design_name = BlockDesign(), name

    def _design_of(self):
        require(self.design is not None, "there is no block design")
        return self.design

    def _create_bd_cell(self, options, name):
        vendor, _, kind, *version = options["-vlnv"].split(":")
        if vendor == "xilinx.com":
            require(kind in IPS and not version, f"unknown core {options['-vlnv']}")
            ip = IPS[kind]
        else:
            require(options["-vlnv"] in self._catalogue, f"no {options['-vlnv']} in the catalogue")
            ip = self._catalogue[options["-vlnv"]]
        self._design_of().add(name, kind, ip)
        self._objects.add(name, "cell")

    def _get_bd_cells(self, options, name):
        self._objects.expect(name, "cell")
        return name

    def _apply_bd_automation(self, options, cell):
        self._objects.expect(cell, "cell")
        words = self._split(options["-config"])
        self._design_of().automate(cell, options["-rule"], dict(zip(words[::2], words[1::2], strict=True)))

    def _get_bd_pins(self, options, path):
        return self._design_of().find(path, "pins")

    def _get_bd_intf_pins(self, options, path):
        return self._design_of().find(path, "interfaces")

    def _connect_bd_net(self, options, *pins):
        self._design_of().connect(list(pins))

    def _connect_bd_intf_net(self, options, one, other):
        self._design_of().link(one, other)

    def _get_bd_addr_spaces(self, options, path):
        require(path in self._design_of().spaces(), f"no address space {path}")
        return path

    def _get_bd_addr_segs(self, options, pattern):
        return " ".join(self._design_of().matching_segments(pattern))

    def _assign_bd_address(self, options, segment):
        given = (options.get("-offset", ""), options.get("-range", ""))
        self._design_of().assign(options["-target_address_space"], segment, *given)

    def _exclude_bd_addr_seg(self, options, segment):
        self._design_of().exclude(options["-target_address_space"], segment)

    def _validate_bd_design(self, options):
        self._design_of().validate()

    def _save_bd_design(self, options):
        require(self._design_of().valid, "the design is not validated")
        folder = self._project / f"{self._project_name}.gen" / "sources_1" / "bd" / self._design_name
        (folder / "hdl").mkdir(parents=True, exist_ok=True)
        (folder / "hw_handoff").mkdir(exist_ok=True)
        (folder / "hw_handoff" / f"{self._design_name}.hwh").write_text("hwh")
        self._design_folder, self._files[f"{self._design_name}.bd"] = folder, folder
        self._objects.add(f"file:{self._design_name}.bd", "file")

    def _make_wrapper(self, options):
        require(options["-files"] == f"file:{self._design_name}.bd", "a wrapper is made of a block design")
        wrapper = self._design_folder / "hdl" / f"{self._design_name}_wrapper.v"
        wrapper.write_text("")
        return str(wrapper)

    # Runs.

    def _run_folder(self) -> Path:
        return self._project / f"{self._project_name}.runs" / "impl_1"

    def _launch_runs(self, options, run):
        require(self._design_of().valid, "the design is not validated")
        top = self._objects.values["sources_1"].get("top", "")
        require(f"{top}.v" in self._files, f"top {top} is in no file")
        self._top, self._launched = top, True

    def _wait_on_run(self, options, run):
        require(self._launched, "nothing runs")
        if self.progress == "100%":
            self._run_folder().mkdir(parents=True, exist_ok=True)
            (self._run_folder() / f"{self._top}.bit").write_text("bit")

    def _get_runs(self, options, run):
        return self._objects.add("run:impl_1", "run")

    def _open_run(self, options, run):
        require(self._launched and self.progress == "100%", "the run has not ended")

    def _report_utilization(self, options):
        require(self._launched, "nothing is open")

    def _report_timing_summary(self, options):
        require(self._launched, "nothing is open")
