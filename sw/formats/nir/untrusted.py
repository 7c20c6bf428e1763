"""What an HDF5 file holds, looked at before anything of it is read: it may lead elsewhere, or claim to be vast."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hw.user_text import quoted
from sw.errors import UserError
from sw.formats.nir.library import h5py, nir
from sw.formats.nir.wiring import LARGEST_GRAPH

EXPANSION = 1100
"""Times their stored bytes that numbers may take: deflate makes one byte of 1,032 at best."""

LARGEST_TEXT = 1 << 26
"""Most bytes of texts: edges, metadata."""

MOST_OBJECTS, DEEPEST = 1 << 18, 8
"""Groups and arrays in a file, and groups in each other; graphs of ours have four levels."""

REMEDY = "export it again, or import the checkpoint that it was made of"


def read_content(path: Path) -> dict[str, Any]:
    """The graph of a NIR file as a dictionary, as `nir` makes it for `nir.dict2NIRNode`.

    Raises
    ------
    UserError
        If it is no NIR file, or damaged, or leads to other files, or claims more than a graph may hold.
    """
    try:
        with h5py.File(path, "r") as file:
            if not isinstance(file.get("node", getlink=True), h5py.HardLink):
                raise UserError(f"HDF5, but without the group 'node' of NIR; {REMEDY}")
            _Look().group(file, "node", 0)
            content = nir.serialization.hdf2dict(file["node"])
    except UserError:
        raise
    except Exception as error:  # h5py raises many kinds for a damaged file
        raise UserError(f"not a whole NIR file ({type(error).__name__}); {REMEDY}") from error
    return dict(content)


class _Look:
    """Walks the objects of a file, and counts."""

    def __init__(self) -> None:
        self.objects = self.numbers = self.text = 0

    def group(self, parent: Any, name: str, depth: int) -> None:
        """Look at what a name of a group leads to."""
        self.objects += 1
        if self.objects > MOST_OBJECTS or depth > DEEPEST:
            raise UserError(f"more than {MOST_OBJECTS:,} objects, or {DEEPEST} groups in each other; {REMEDY}")
        link = parent.get(name, getlink=True)
        if not isinstance(link, h5py.HardLink):
            raise UserError(f"{quoted(name)} is a link to somewhere else, which is not followed; {REMEDY}")
        found = parent[name]
        if isinstance(found, h5py.Group):
            for inner in found:
                self.group(found, inner, depth + 1)
        elif isinstance(found, h5py.Dataset):
            self.array(name, found)
        else:
            raise UserError(f"{quoted(name)} is neither group nor array; {REMEDY}")

    def array(self, name: str, found: Any) -> None:
        """Look at an array's type and size, without its values."""
        if found.is_virtual or found.external:
            raise UserError(f"{quoted(name)} has its values in another file, which is not read; {REMEDY}")
        stored = found.id.get_storage_size()
        if h5py.check_string_dtype(found.dtype) is not None:
            self.text += stored + found.size
        elif found.dtype.kind not in "fiub":
            raise UserError(f"{quoted(name)} holds {quoted(str(found.dtype))}, not numbers or text; {REMEDY}")
        elif found.nbytes > EXPANSION * stored:
            raise UserError(f"{quoted(name)} claims {found.nbytes:,} bytes, the file has {stored:,} for it; {REMEDY}")
        else:
            self.numbers += found.size
        if self.numbers > LARGEST_GRAPH or self.text > LARGEST_TEXT:
            raise UserError(
                f"{quoted(name)} brings it to {self.numbers:,} numbers and {self.text:,} bytes of text, at most "
                f"{LARGEST_GRAPH:,} and {LARGEST_TEXT:,}; {REMEDY}"
            )
