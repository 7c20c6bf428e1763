"""The packages that know the format: an extra, for not everybody needs it."""

from __future__ import annotations

from sw.errors import UserError

try:
    import h5py
    import nir
except ImportError as error:
    raise UserError(
        f"NIR files need the packages nir and h5py, and {error.name} is not installed: "
        "pip install --constraint constraints.txt --editable '.[nir]'"
    ) from error

__all__ = ["h5py", "nir"]
