"""Spikformer in PyTorch, quantised by Brevitas."""
