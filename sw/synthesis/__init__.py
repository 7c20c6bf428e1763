"""What a configuration takes on an FPGA and how fast it is there: Yosys, nextpnr, and reading their results."""
