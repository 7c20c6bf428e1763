"""Data sets: sources in their order, checksums and encodings."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sw.data import sets as data
from sw.data import sources as data_sources
from sw.data.samples import load_sample
from sw.data.sources import DataFile, DataSource, cifar10_from_pictures, node_package, obtain, system_package
from sw.errors import UserError

CONTENT = {"images": b"pixels" * 50, "labels": b"labels" * 5}
FILES = tuple(DataFile(name, hashlib.md5(content).hexdigest()) for name, content in CONTENT.items())


def package(folder: Path) -> dict[str, bytes]:
    return dict(CONTENT)


def absent(folder: Path) -> dict[str, bytes]:
    raise FileNotFoundError("tool")


SOURCE = DataSource(FILES, "https://data.invalid/set", absent, "sh")


@pytest.fixture
def offline(monkeypatch):
    """No address answers; the ones asked are kept."""
    asked = []

    def refuse(address, timeout):
        asked.append(address)
        assert timeout == data_sources.NETWORK_TIMEOUT_S
        raise OSError("no route to host")

    monkeypatch.setattr(data_sources.urllib.request, "urlopen", refuse)
    return asked


def tar(contents: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in contents.items():
            member = tarfile.TarInfo(f"package/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def test_users_folder_comes_first_and_is_not_copied(tmp_path, offline):
    folder, cache = tmp_path / "mine", tmp_path / "cache"
    (folder / "deeper").mkdir(parents=True)
    (folder / "deeper" / "images.gz").write_bytes(gzip.compress(CONTENT["images"]))
    (folder / "labels").write_bytes(CONTENT["labels"])
    assert obtain("set", SOURCE, folder, cache) == CONTENT
    assert not cache.exists()
    assert offline == []


def test_addresses_are_asked_and_the_cache_is_filled(tmp_path, monkeypatch):
    asked = []

    def answer(address, timeout):
        asked.append(address)
        return io.BytesIO(gzip.compress(CONTENT[address.rsplit("/", 1)[1].removesuffix(".gz")]))

    monkeypatch.setattr(data_sources.urllib.request, "urlopen", answer)
    assert obtain("set", SOURCE, None, tmp_path) == CONTENT
    assert asked == ["https://data.invalid/set/images.gz", "https://data.invalid/set/labels.gz"]
    assert {path.name: path.read_bytes() for path in (tmp_path / "set").iterdir()} == CONTENT
    assert obtain("set", SOURCE, None, tmp_path) == CONTENT
    assert len(asked) == 2


def test_archive_of_an_address_is_unpacked(tmp_path, monkeypatch):
    source = dataclasses.replace(SOURCE, address="https://data.invalid/set.tar.gz")
    monkeypatch.setattr(data_sources.urllib.request, "urlopen", lambda address, timeout: io.BytesIO(tar(CONTENT)))
    assert obtain("set", source, None, tmp_path) == CONTENT


def test_package_comes_last(tmp_path, offline):
    assert obtain("set", dataclasses.replace(SOURCE, package=package), None, tmp_path) == CONTENT
    assert len(offline) == 1


def test_wrong_checksum_is_refused_wherever_it_comes_from(tmp_path, offline):
    wrong = hashlib.md5(b"wrong").hexdigest()
    message = f"md5 of the uncompressed labels is {wrong}, expected {FILES[1].md5}; delete the file and fetch it again"
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "images").write_bytes(CONTENT["images"])
    (tmp_path / "set" / "labels").write_bytes(b"wrong")
    with pytest.raises(UserError, match=message) as error:
        obtain("set", SOURCE, None, tmp_path)
    assert str(tmp_path / "set" / "labels") in str(error.value)
    broken = dataclasses.replace(SOURCE, package=lambda folder: {**CONTENT, "labels": b"wrong"})
    with pytest.raises(UserError, match=message):
        obtain("set", broken, None, tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_nothing_found_says_what_was_tried(tmp_path, offline):
    with pytest.raises(UserError) as error:
        obtain("set", SOURCE, None, tmp_path)
    assert str(error.value) == (
        f"set is not in {tmp_path / 'set'} and could not be fetched from https://data.invalid/set (no route to host) "
        "or sh (not installed); put images, labels (or .gz) into a folder and name it with --data-dir"
    )


def test_missing_folder_and_unknown_set_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"nowhere does not exist; name a folder that holds images"):
        obtain("set", SOURCE, tmp_path / "nowhere", tmp_path)
    with pytest.raises(UserError, match="unknown data set 'imagenet'; choose one of fashion-mnist, mnist, cifar10"):
        data.load("imagenet", "test")


def test_packages_are_fetched_and_unpacked_not_installed(tmp_path, monkeypatch):
    commands = []

    def run(command, *, cwd, check, capture_output, timeout):
        commands.append(command)
        if command[0] == "npm":
            (cwd / "set.tgz").write_bytes(tar(CONTENT))
        elif command[0] == "apt-get":
            (cwd / "set.deb").touch()
        else:
            (cwd / "unpacked").mkdir()
            (cwd / "unpacked" / "train-ubyte.gz").write_bytes(gzip.compress(b"x"))

    monkeypatch.setattr(data_sources.subprocess, "run", run)
    assert node_package("set@1")(tmp_path) == CONTENT
    assert system_package("set")(tmp_path) == {"train-ubyte": b"x"}
    assert commands == [
        ("npm", "pack", "set@1"),
        ("apt-get", "download", "set"),
        ("dpkg-deb", "-x", "set.deb", "unpacked"),
    ]


def test_cifar10_pictures_become_the_official_records(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8)
    picture = io.BytesIO()
    Image.fromarray(pixels.reshape(2, 1024, 3)).save(picture, "png")
    names = [*(f"data_batch_{n}" for n in range(1, 6)), "test_batch"]
    contents = {f"{name}.png": picture.getvalue() for name in names}
    contents["train_lables.json"] = json.dumps([n // 10_000 for n in range(50_000)]).encode()
    contents["test_lables.json"] = json.dumps([8, 9]).encode()
    with pytest.raises(ValueError, match="dimension"):  # 10,000 train labels for 2 rows
        cifar10_from_pictures(lambda folder: contents)(tmp_path)
    rows = np.concatenate([pixels] * 5000)
    picture = io.BytesIO()
    Image.fromarray(rows.reshape(-1, 1024, 3)).save(picture, "png", compress_level=1)
    contents.update({f"{name}.png": picture.getvalue() for name in names[:-1]})
    files = cifar10_from_pictures(lambda folder: contents)(tmp_path)
    test, third = np.frombuffer(files["test_batch.bin"], np.uint8), np.frombuffer(files["data_batch_3.bin"], np.uint8)
    assert test.reshape(2, 3073)[:, 0].tolist() == [8, 9]
    assert np.array_equal(test.reshape(2, 3073)[1, 1:].reshape(3, 32, 32), pixels[1].transpose(2, 0, 1))
    assert (third.reshape(-1, 3073)[:, 0] == 2).all()


@pytest.mark.parametrize("name", list(data.DATA_SETS))
def test_image_table_rounds_the_normalised_pixel(name):
    info = data.data_set(name)
    table = info.image_table()
    assert table.dtype == torch.int8
    assert table.abs().max() <= 127
    for channel, (mean, std) in enumerate(zip(info.mean, info.std, strict=True)):
        exact = (np.arange(256) / 255 - mean) / std / info.image_scale
        clipped = np.clip(exact, -127, 127)
        assert np.abs(table[channel].numpy() - clipped).max() <= 0.5
        assert (np.abs(exact) > 127.5).mean() < 0.1, "more than a tenth of the pixel values would be clipped"


def test_encode_is_the_table_per_channel():
    info, sample = data.data_set("cifar10"), load_sample("cifar10")
    encoded, table = info.encode(sample.images[:3]), info.image_table()
    assert encoded.dtype == torch.int8
    assert encoded[2, 1, 5, 7] == table[1, int(sample.images[2, 1, 5, 7])]
