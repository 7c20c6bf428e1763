"""Proofs of the rules at the accelerator's ports."""
