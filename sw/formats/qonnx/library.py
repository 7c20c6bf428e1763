"""The package that knows the format: an extra, for not everybody needs it."""

from __future__ import annotations

from sw.errors import UserError

try:
    import onnx
except ImportError as error:
    raise UserError(
        f"QONNX files need the package onnx, and {error.name} is not installed: "
        "pip install --constraint constraints.txt --editable '.[onnx]'"
    ) from error

__all__ = ["onnx"]
