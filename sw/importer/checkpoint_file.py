"""Tensors of a checkpoint file by key, read without running anything the file brings along."""

from __future__ import annotations

import argparse
import pickle
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sw.errors import UserError

NESTED = ("state_dict", "model")
"""Keys under which training scripts keep the state dictionary beside their other state."""

PREFIX = "module."
"""What `DataParallel` and its relatives put before every key."""

SAVE_AGAIN = "save the weights alone, torch.save(model.state_dict(), ...), and import that"


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read the state dictionary of a checkpoint.

    Parameters
    ----------
    path : Path
        A file of `torch.save`: a state dictionary, or a dictionary that holds one under ``state_dict`` or ``model``.

    Returns
    -------
    dict of str to Tensor
        Without a prefix ``module.``; on the CPU.

    Raises
    ------
    UserError
        If there is no such file, or it is no checkpoint, or reading it would need to run code.
    """
    content = _load(path)
    for key in NESTED:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping):
        raise UserError(f"{path}: holds {type(content).__name__}, not a state dictionary; {SAVE_AGAIN}")
    tensors = {str(key): value for key, value in content.items() if isinstance(value, Tensor)}
    if not tensors:
        found = ", ".join(map(str, list(content)[:5])) or "nothing"
        raise UserError(f"{path}: no tensors among its keys ({found}); {SAVE_AGAIN}")
    if all(key.startswith(PREFIX) for key in tensors):
        tensors = {key.removeprefix(PREFIX): value for key, value in tensors.items()}
    return tensors


def _load(path: Path) -> Any:
    try:
        # Training scripts of timm keep their settings in the file. A Namespace is nothing but those values.
        with torch.serialization.safe_globals([argparse.Namespace]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        reason = "no such file" if not path.exists() else "a folder" if path.is_dir() else error.strerror
        raise UserError(f"{path}: cannot be read ({reason}); give the path of a checkpoint") from error
    except pickle.UnpicklingError as error:
        refused = re.search(r"GLOBAL (\S+)", str(error))
        if refused is None:
            raise UserError(f"{path}: not a checkpoint of torch.save; {SAVE_AGAIN}") from error
        raise UserError(
            f"{path}: holds an object of {refused[1]}, and code of a file is never run; {SAVE_AGAIN}"
        ) from error
    except (RuntimeError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise UserError(f"{path}: not a whole checkpoint ({type(error).__name__}); copy or {SAVE_AGAIN}") from error
