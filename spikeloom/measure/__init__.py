"""Measurements: figures of merit, speeds, accuracy against cost."""
