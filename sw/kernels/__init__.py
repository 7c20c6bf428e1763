"""Fused training kernels for CUDA devices, in Triton; `sw.kernels.device` says when they are used."""
