"""Files of tensors with a JSON header that says what they mean: safetensors, with format, version and checksum.

The header is the value of the one metadata key ``spikeloom``. Refusals are a line of value, limit and remedy.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as safetensors_bytes

from hw.user_text import quoted
from sw.errors import UserError
from sw.strict_json import parse_json

if TYPE_CHECKING:
    from numpy.typing import NDArray

HEADER_KEY = "spikeloom"

CHECKSUM = "sha256"
"""Key of the header with `checksum`."""

LARGEST_HEADER = 1 << 24
"""Characters of the JSON header; the log of a long training is a hundredth of it."""


def checksum(header: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]]) -> str:
    """SHA-256 over all that a file means, in hexadecimal digits: of a JSON text with sorted keys.

    The text is an object of ``header``, as in the file but without the checksum itself, and of ``tensors``, for every
    name a list of type, shape and the SHA-256 of the bytes. Spaces and the order of keys in the file do not matter.

    Parameters
    ----------
    header : mapping of str to plain JSON values
    tensors : mapping of str to array
        By their names in the file.
    """
    described = {
        name: [str(value.dtype), list(value.shape), hashlib.sha256(value.tobytes()).hexdigest()]
        for name, value in tensors.items()
    }
    meant = {key: value for key, value in header.items() if key != CHECKSUM}
    text = json.dumps({"header": meant, "tensors": described}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def encode_header(
    header: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]]
) -> tuple[str, dict[str, NDArray[Any]]]:
    """Text of a header with the checksum over it and the tensors, and these as they are stored."""
    dense = {name: np.ascontiguousarray(value) for name, value in tensors.items()}
    written = json.loads(json.dumps(header, allow_nan=False))  # as it will be read: every key is text
    written[CHECKSUM] = checksum(written, dense)
    return json.dumps(written, sort_keys=True), dense


def tensor_file(header: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]]) -> bytes:
    """Content of a file; the same header and tensors always give the same bytes.

    Parameters
    ----------
    header : mapping of str to plain JSON values
        With ``format`` and ``version``; the checksum is added.
    tensors : mapping of str to array
    """
    text, dense = encode_header(header, tensors)
    return safetensors_bytes(dense, metadata={HEADER_KEY: text})


@dataclass(frozen=True, kw_only=True)
class TensorFormat:
    """A kind of such files, and what to tell people who give another.

    Attributes
    ----------
    name : str
        Value of the header's ``format``.
    version : int
        Newest that is read; the oldest is 1.
    called : str
        With its article.
    made_by, again : str
        What to do for lack of such a file, and for one that cannot be used.
    checksum_since : int
        First version with a checksum.
    """

    name: str
    version: int
    called: str
    made_by: str
    again: str
    checksum_since: int = 1

    def read(self, path: Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Header and tensors of a file of this format, a version that is known, and the right checksum.

        Raises
        ------
        UserError
            In one line that names the file, the value, the limit and the remedy, for anything else.
        """
        try:
            metadata, tensors = self._read(path)
            if HEADER_KEY not in metadata:
                raise UserError(f"no '{HEADER_KEY}' header, so not {self.called}; {self.made_by}")
            header = self.parse_header(metadata[HEADER_KEY])
            if header["version"] >= self.checksum_since and header.get(CHECKSUM) != (
                found := checksum(header, tensors)
            ):
                raise UserError(
                    f"damaged or changed: {CHECKSUM} of header and tensors is {found[:16]}..., recorded is "
                    f"{quoted(header.get(CHECKSUM), 24)}; copy the file or {self.again}"
                )
        except UserError as error:
            raise UserError(f"{path}: {error}") from error
        return header, tensors

    def _read(self, path: Path) -> tuple[dict[str, str], dict[str, NDArray[Any]]]:
        """Metadata and tensors of a safetensors file."""
        if not path.is_file():  # a device or a pipe might never end
            reason = "a folder" if path.is_dir() else "not a file" if path.exists() else "no such file"
            raise UserError(f"cannot read ({reason}); give the path of {self.called}")
        try:
            with safe_open(path, framework="numpy") as stream:
                metadata = stream.metadata() or {}
                return metadata, {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118 (no iterator)
        except OSError as error:
            raise UserError(f"cannot read ({error.strerror or error}); give the path of {self.called}") from error
        except (SafetensorError, KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
            raise UserError(f"not a whole safetensors file; {self.again}") from error

    def parse_header(self, text: str) -> dict[str, Any]:
        """Parse a JSON header; its format and version are right then.

        Raises
        ------
        UserError
            If they are not.
        """
        again = f"{self.again} with this version"
        if len(text) > LARGEST_HEADER:
            raise UserError(f"the header has {len(text):,} characters, at most {LARGEST_HEADER:,}; {again}")
        try:
            header = parse_json(text)
        except ValueError as error:
            raise UserError(f"the '{HEADER_KEY}' header is not JSON ({error}); {again}") from error
        if not isinstance(header, dict) or header.get("format") != self.name:
            found = header.get("format") if isinstance(header, dict) else header
            raise UserError(f"format is {quoted(found)}, not {self.name!r}; {again}")
        version = header.get("version")
        if type(version) is not int or not 1 <= version <= self.version:
            known = "1" if self.version == 1 else f"1 to {self.version}"
            raise UserError(f"version is {quoted(version)}, this reader knows {known}; {again}")
        return header
