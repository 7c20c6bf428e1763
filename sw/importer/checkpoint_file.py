"""What a checkpoint file holds, read without running anything that the file brings along."""

from __future__ import annotations

import argparse
import pickle
import re
import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from hw.user_text import listed, quoted
from sw.errors import UserError
from sw.importer.weights import SAVE_AGAIN, Weights, choose_weights

EXPANSION = 10
"""Times the size of the file that its tensors may take: `torch.save` does not compress, and views may share values."""


def read_weights(path: Path, name: str | None = None) -> Weights:
    """Read the state dictionary of a checkpoint.

    Parameters
    ----------
    path : Path
        A file of `torch.save`, or of safetensors, whose name says so: a state dictionary, or dictionaries that hold
        some, as `sw.importer.weights.choose_weights` finds them.
    name : str, optional
        Which, if there are several.

    Returns
    -------
    Weights
        With tensors on the CPU, of any type.

    Raises
    ------
    UserError
        If there is no such file, or it is no checkpoint, or reading it would need to run code, or it claims to hold
        far more than its bytes.
    """
    try:
        if path.exists() and not path.is_file():
            raise UserError(f"{path}: {'a folder' if path.is_dir() else 'no file'}; give the path of a checkpoint")
        path.open("rb").close()
    except (OSError, ValueError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise UserError(f"{path}: cannot be read ({reason}); give the path of a checkpoint") from error
    content = _load(path)
    try:
        weights = choose_weights(content, name)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    _check_size(path, sum(map(_bytes, weights.tensors.values())))
    return weights


def _load(path: Path) -> Any:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        if zipfile.is_zipfile(path):
            _check_archive(path)
        # Training scripts of timm keep their settings in the file. A Namespace is nothing but those values.
        with torch.serialization.safe_globals([argparse.Namespace]), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of kinds of tensors that are refused later
            return torch.load(path, map_location="cpu", weights_only=True)
    except UserError:
        raise
    except pickle.UnpicklingError as error:
        refused = re.search(r"GLOBAL (\S+)", str(error))
        if refused is None:
            raise UserError(f"{path}: not a checkpoint of torch.save; {SAVE_AGAIN}") from error
        raise UserError(
            f"{path}: holds an object of {quoted(refused[1])[1:-1]}, and code of a file is never run; {SAVE_AGAIN}"
        ) from error
    except Exception as error:  # torch raises many kinds for a damaged file
        raise UserError(f"{path}: not a whole checkpoint ({type(error).__name__}); copy or {SAVE_AGAIN}") from error


def _check_archive(path: Path) -> None:
    """Refuse what `torch.load` would run, expand or overlook in a zip file: it compares no checksums."""
    with zipfile.ZipFile(path) as archive:
        records = archive.infolist()
        if any(record.filename.endswith("/constants.pkl") for record in records):
            raise UserError(f"{path}: a TorchScript archive, and code of a file is never run; {SAVE_AGAIN}")
        _check_size(path, sum(record.file_size for record in records))
        damaged = archive.testzip()
    if damaged is not None:
        raise UserError(f"{path}: {listed([damaged], 40)} does not match its checksum; copy or {SAVE_AGAIN}")


def _bytes(tensor: Tensor) -> int:
    """Bytes that a tensor's values take; 0 of those that `sw.importer.shape.find_layout` refuses anyway."""
    plain = tensor.layout == torch.strided and not (tensor.is_meta or tensor.is_quantized or tensor.is_nested)
    return tensor.numel() * tensor.element_size() if plain else 0


def _check_size(path: Path, claimed: int) -> None:
    size = path.stat().st_size
    if claimed > EXPANSION * size:
        raise UserError(f"{path}: claims to hold {claimed:,} bytes, the file has {size:,}; copy or {SAVE_AGAIN}")
