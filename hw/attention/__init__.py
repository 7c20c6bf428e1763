"""Spiking self-attention: K^T V by AND and popcount, then Q (K^T V)."""
