"""What FPGA primitives do, for simulations of Verilog that instantiates them."""
