"""Spikformer on an FPGA: a Brevitas model, its integer golden model and the accelerator, equal spike for spike."""
