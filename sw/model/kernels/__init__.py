"""Fused training kernels for CUDA devices, in Triton; `sw.model.kernels.device` says when they are used."""
