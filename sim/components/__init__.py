"""Benches of single components in their emitted Verilog, with golden models beside them."""
