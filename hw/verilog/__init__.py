"""From Amaranth to files: Verilog, its ports, and the host's C header."""
