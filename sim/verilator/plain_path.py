"""Names for folders that make and shell scripts can take: without blanks, and of ASCII letters only.

GNU make cuts names at blanks and builds in no folder with one; Verilator writes other letters in octal into makefiles.
A link without either stands for such a folder.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import tempfile
from pathlib import Path

from sw.errors import UserError

PLAIN = re.compile(r"[A-Za-z0-9_./+-]*")


def is_plain(path: Path) -> bool:
    """Whether make and shells take a path as it is."""
    return PLAIN.fullmatch(str(path)) is not None


def link_folders() -> list[Path]:
    """Folders that may hold links, each the user's own: the one for caches first, as it stays."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return [Path(cache) / "spikeloom", Path(tempfile.gettempdir()) / f"spikeloom-{os.getuid()}"]


def links_into(root: Path) -> list[Path]:
    """Links that `plain` has made for folders of a checkout."""
    links = [link for folder in link_folders() if folder.is_dir() for link in folder.iterdir() if link.is_symlink()]
    return [link for link in links if Path(os.readlink(link)).is_relative_to(root)]


def plain(path: Path) -> Path:
    """A path that leads to a folder and is plain: its own if it is, or a link.

    Raises
    ------
    UserError
        If no link can be made.
    """
    path = path.resolve()
    if is_plain(path):
        return path
    for folder in link_folders():
        link = folder / hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
        with contextlib.suppress(OSError):
            if is_plain(link) and _own(folder) and _linked(link, path):
                return link
    raise UserError(
        f"{path} has letters that make cannot take, and no folder for a link without them can be written: "
        "move the project to a folder of ASCII letters without blanks"
    )


def _own(folder: Path) -> bool:
    """Make a folder; whether it is the user's own, so that nobody else's links are followed."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    return found.st_uid == os.getuid() and not found.st_mode & 0o022 and folder.is_dir() and not folder.is_symlink()


def _linked(link: Path, path: Path) -> bool:
    """Make a link, or find it made."""
    with contextlib.suppress(FileExistsError):
        link.symlink_to(path, target_is_directory=True)
    return Path(os.readlink(link)) == path
