"""Convolution: the walk over a layer's reads and the array of AND and add."""
