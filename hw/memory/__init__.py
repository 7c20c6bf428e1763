"""Spike memory and what fills it with an image."""
