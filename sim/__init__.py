"""Verilator and cocotb simulation of the emitted Verilog."""
