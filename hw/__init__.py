"""Accelerator components in Amaranth."""
