"""Spikes on their way back: residual, pool, pieces, tokens."""
