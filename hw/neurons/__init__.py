"""LIF neurons behind the array: their walk, membranes and parameters, and the head's counts."""
