"""Build and run simulators with Verilator."""
