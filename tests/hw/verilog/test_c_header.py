"""The C header says what the register map says, to a strict compiler."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from hw.external.memory_port import BYTE_ADDRESS_BITS
from hw.host.registers import IDENTITY, RECORD_LINE_WORDS, REGISTERS, VERSION, WATCHDOG_CYCLES
from hw.named_configs import BASE, TINY
from hw.program.crc import POLYNOMIAL
from hw.program.header import encode_header
from hw.verilog.c_header import ENUMERATIONS, HEADER, c_header


def macros(folder, config) -> dict[str, int]:
    """Values of all macros as a compiled program prints them."""
    text = c_header(config)
    (folder / HEADER).write_text(text)
    names = re.findall(r"^#define (\w+) ", text, re.MULTILINE)
    prints = "\n".join(f'    printf("{name} %lu\\n", (unsigned long){name});' for name in names)
    (folder / "host.c").write_text(
        f'#include <stdio.h>\n#include "{HEADER}"\n#include "{HEADER}"\n'
        f"int main(void) {{\n{prints}\n    return 0;\n}}\n"
    )
    command = ["cc", "-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "host.c", "-o", "host"]
    subprocess.run(command, cwd=folder, check=True)
    printed = subprocess.run([folder / "host"], check=True, capture_output=True, text=True).stdout
    return {name: int(value) for name, value in (line.split() for line in printed.splitlines())}


@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")
@pytest.mark.parametrize("config", [TINY, BASE], ids=lambda config: config.name)
def test_compiles_and_holds_the_map(config, tmp_path):
    values = macros(tmp_path, config)
    expected = {name: register.address for name, register in REGISTERS.items()}
    expected |= {"IDENTITY_VALUE": IDENTITY, "VERSION_VALUE": VERSION, "CONFIG_VALUE": config.fingerprint}
    expected |= {"LOGITS_WORDS": config.max_classes, "PROFILE_LAYERS": config.max_layers, "PROFILE_LAYER_WORDS": 8}
    expected |= {"RECORD_LINE_WORDS": RECORD_LINE_WORDS, "RECORD_LOGITS": RECORD_LINE_WORDS}
    expected |= {"MEMORY_BITS": config.memory_bits, "ADDRESS_BITS": BYTE_ADDRESS_BITS}
    expected |= {"WATCHDOG_CYCLES": WATCHDOG_CYCLES}
    header = encode_header(0x1234_5678).to_bytes(8, "little")
    expected |= {"PROGRAM_BEGIN": int.from_bytes(header[:4], "little"), "PROGRAM_LENGTH_OFFSET": 4}
    assert int.from_bytes(header[4:], "little") == 0x1234_5678
    expected |= {"PROGRAM_HEADER_BYTES": config.memory_bits // 8, "PROGRAM_CRC_BYTES": 4}
    expected |= {"PROGRAM_CRC_POLYNOMIAL": POLYNOMIAL}
    for prefix, (_, members) in ENUMERATIONS.items():
        expected |= {f"{prefix}_{member.name}": member.value for member in members}
    assert values == {f"SPIKELOOM_{name}": value for name, value in expected.items()}


def test_registers_do_not_overlap():
    words = [register.address + 4 * i for register in REGISTERS.values() for i in range(register.words)]
    assert len(words) == len(set(words))
    assert all(register.address % (4 * register.words) == 0 for register in REGISTERS.values())
