"""Files that were damaged or made up: each is refused in one short line, or means what it says.

A thousand mutations of every kind of file that commands read, by the readers that commands use; of NIR files, which are
hundreds of arrays, a few, and the thousand as a long test. Nothing but `UserError` may come out of them, and no more
memory may go in than such a file can need. An artifact has a checksum, so what changes its bytes must be refused or
change nothing; what is accepted of other mutations must survive being written and read again.
"""

from __future__ import annotations

import copy
import dataclasses
import io
import json
import random
import re
import resource
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save as safetensors_bytes

from golden.model import GoldenModel
from golden.random_artifact import random_artifact, random_images
from hw.config import HardwareConfig
from hw.named_configs import MINI
from sim.comparison.hardware import TracedImages
from sim.comparison.recorded_image import RecordedImage, load_recorded_image
from spikeloom.commands.common import ConfigType
from spikeloom.commands.own_images import images_from_file
from sw.artifact.artifact import Artifact
from sw.artifact.file import file_header, load, save
from sw.artifact.versions import VERSION
from sw.data.sets import ImageSet
from sw.errors import UserError
from sw.formats.nir.read import read_nir
from sw.formats.nir.write import write_nir
from sw.network import NetworkConfig
from sw.tensor_file import checksum
from sw.training.recipe import OF_THE_DATA_SET, load_recipe, recipe_of

MUTATIONS = 1000
LONGEST_REFUSAL = 300
MOST_MEMORY = 1 << 29

pytestmark = pytest.mark.filterwarnings("error")

RAW = {"@deep@": "[" * 5000 + "]" * 5000, "@objects@": '{"a":' * 5000 + "1" + "}" * 5000, "@digits@": "9" * 5000}
"""Text of values that Python would not write."""

NASTY: list[Any] = [
    None, True, False, -1, 0, 1, 3, 4.0, 0.5, 1e308, 1e-320, float("nan"), float("inf"), 1 << 31, 1 << 63, -(1 << 63),
    10**400, "", "4", "x" * 5000, "[red]x[/]", "[/]", "../../../x", "/etc/passwd", "module", "\x1b[2J\x07", "a\nb",
    "a\0b", "\ud800", "\u202e\u0661", [], {}, [[]], [1] * 1000, ["y" * 500] * 50, {"z" * 900: {"z" * 900: 1}},
    [None] * 3, *RAW,
]  # fmt: skip

RECIPE = """
name = "tiny"
data = "mnist"
weight_bits = 4
batch_size = 50
seed = 7
label_smoothing = 0.1
network = {embed_dim = 16, depth = 1, heads = 2, neuron = "if"}

[float_phase]
epochs = 2
learning_rate = 1e-3
warmup_epochs = 0.5
augmentation = {shift = 2, flip = true}

[quantised_phase]
epochs = 1
learning_rate = 1
"""


@pytest.fixture(autouse=True)
def bounded_memory(tmp_path, monkeypatch) -> Iterator[None]:
    """Work in a folder of its own, with a limit on what the process may allocate beyond what it has."""
    monkeypatch.chdir(tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    present = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (present + MOST_MEMORY, hard))
    yield
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def outcome(read: Callable[[Path], Any], path: Path, content: bytes, number: int) -> Any:
    """What a reader makes of the content; None if it refuses it as it should."""
    path.write_bytes(content)
    try:
        return read(path)
    except UserError as error:
        message = str(error)
    except Exception as error:
        raise AssertionError(f"mutation {number} ended in {error!r:.500}") from error
    assert len(message) < LONGEST_REFUSAL, (number, message)
    assert message.isprintable() and "pickle" not in message, (number, message)
    return None


def damaged(data: bytes, rng: random.Random, *, most: int = 8) -> bytes:
    """Bytes with a few bits flipped, or cut, stretched or mixed up."""
    content = bytearray(data)
    kind = rng.randrange(6)
    if kind <= 1:
        for _ in range(rng.randint(1, 1 if kind else most)):
            content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    elif kind == 2:
        del content[rng.randrange(len(content)) :]
    else:
        at, source, length = rng.randrange(len(content)), rng.randrange(len(content)), rng.randint(1, 64)
        piece = bytes(content[source : source + length]) if rng.random() < 0.5 else rng.randbytes(length)
        content[at : at + (0, len(piece), rng.randint(0, 64))[kind - 3]] = piece
    return bytes(content)


def nodes(tree: Any) -> list[tuple[Any, Any]]:
    """Every place in a tree of lists and objects: the list or object, and the index or key."""
    if not isinstance(tree, dict | list):
        return []
    keys = list(tree) if isinstance(tree, dict) else list(range(len(tree)))
    return [place for key in keys for place in [(tree, key), *nodes(tree[key])]]


def mutated_tree(tree: Any, rng: random.Random) -> Any:
    """A copy with a few values replaced, changed, copied elsewhere or left out, and keys renamed."""
    tree = copy.deepcopy(tree)
    for _ in range(rng.choice([1, 1, 1, 2, 5])):
        places = nodes(tree)
        if not places or rng.random() < 0.01:
            return copy.deepcopy(rng.choice(NASTY))
        inside, key = rng.choice(places)
        kind = rng.randrange(6)
        if kind == 0:
            del inside[key]
        elif kind == 1 and isinstance(inside, dict):
            inside[rng.choice(["x" * 500, "[/red]", "", key.upper(), "\x1b", "a\ud800"])] = inside.pop(key)
        elif kind == 2:
            source, name = rng.choice(places)
            inside[key] = copy.deepcopy(source[name])
        elif kind == 3 and isinstance(inside[key], int | float):
            inside[key] += rng.choice([-1, 1, 4, 0.5, 1 << 20])
        else:
            inside[key] = copy.deepcopy(rng.choice(NASTY))
    return tree


def as_json(tree: Any, rng: random.Random) -> str:
    """JSON of a tree, now and then with a key twice."""
    text = json.dumps(tree)
    for mark, raw in RAW.items():
        text = text.replace(f'"{mark}"', raw)
    if isinstance(tree, dict) and tree and rng.random() < 0.05:
        text = f"{{{json.dumps(rng.choice(list(tree)))}: {json.dumps(rng.choice(NASTY[:20]))}, {text[1:]}"
    return text


def same(one: Artifact, other: Artifact) -> bool:
    ours, theirs = one.flat_tensors(), other.flat_tensors()
    return file_header(one) == file_header(other) and all(
        value.dtype == theirs[name].dtype and np.array_equal(value, theirs[name]) for name, value in ours.items()
    )


@pytest.fixture(scope="module")
def artifact() -> Artifact:
    network = NetworkConfig(image_size=4, image_channels=1, classes=2, embed_dim=8, depth=1, heads=1)
    return random_artifact(network, 4, seed=1)


def test_damaged_artifacts(artifact):
    path = Path("a.spikeloom")
    save(artifact, path)
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    layout, body = json.loads(data[8 : 8 + size]), data[8 + size :]
    accepted = 0
    for number in range(MUTATIONS):
        rng = random.Random(number)
        if number % 2:
            content = damaged(data, rng)
        else:
            text = as_json(mutated_tree(layout, rng), rng).encode()
            content = len(text).to_bytes(8, "little") + text + body
        loaded = outcome(load, path, content, number)
        assert loaded is None or same(loaded, artifact), number
        accepted += loaded is not None
    assert accepted < MUTATIONS // 10


def test_made_up_artifacts(artifact):
    """With a checksum that is right, or of the version before it: the checks of every value are alone."""
    path = Path("a.spikeloom")
    save(artifact, path)
    with safe_open(path, framework="numpy") as stream:
        true = json.loads(stream.metadata()["spikeloom"])
    true |= {"class_names": ["a", "b"], "accuracy": {"golden": {"correct": 1, "images": 2}}}
    del true["sha256"]
    network = {key: value for key, value in true["network"].items() if key != "event_bits"} | {"events": False}
    old = true | {"version": 3, "network": network}
    accepted = 0
    for number in range(MUTATIONS // 2):
        rng = random.Random(number)
        header, tensors = rng.choice([true, old]), artifact.flat_tensors()
        if rng.random() < 0.3:
            change_value(tensors, rng)
        else:
            header = mutated_tree(header, rng)
        loaded = outcome(load, path, made_up(header, tensors, rng, version=VERSION), number)
        if loaded is not None:
            save(loaded, path)
            assert same(load(path), loaded), number
            accepted += 1
    assert 0 < accepted < MUTATIONS // 4


@pytest.mark.parametrize("mutations", [MUTATIONS // 40, pytest.param(MUTATIONS, marks=pytest.mark.long)])
def test_damaged_graphs(artifact, mutations):
    """NIR files, in HDF5; many bytes of them are read by nobody."""
    path = Path("a.nir")
    write_nir(artifact, path)
    data = path.read_bytes()
    accepted = 0
    for number in range(mutations):
        read = outcome(read_nir, path, damaged(data, random.Random(number)), number)
        if read is not None:
            found, exported = read
            assert exported == same(found, artifact), number
            write_nir(found, path)
            again, whole = read_nir(path)
            assert whole and same(again, found), number
            accepted += 1
    assert 0 < accepted < mutations * 3 // 4


def change_value(tensors: dict[str, Any], rng: random.Random) -> None:
    """Another value in one of the tensors."""
    name = rng.choice(list(tensors))
    value = tensors[name] = tensors[name].copy()
    limits = np.finfo(value.dtype) if value.dtype.kind == "f" else np.iinfo(value.dtype)
    value.flat[rng.randrange(value.size)] = rng.choice([0, 1, max(-1, limits.min), limits.min, limits.max])


def made_up(header: Any, tensors: dict[str, Any], rng: random.Random, *, version: int) -> bytes:
    """A file of tensors, its checksum right where the header is an object of this version."""
    text = as_json(header, rng)
    if isinstance(header, dict) and header.get("version") == version:
        try:
            read = json.loads(text)
            text = json.dumps({**read, "sha256": checksum(read, tensors)})
        except (ValueError, RecursionError):
            pass
    return safetensors_bytes(tensors, metadata={"spikeloom": text})


def test_made_up_recordings(artifact):
    """An image of a comparison, with a checksum that is right."""
    path, network, pixels = Path("recording.safetensors"), artifact.network, random_images(artifact.network, 1, seed=2)
    traced, golden = TracedImages(1), GoldenModel(artifact).record(pixels)
    traced.keep(0, 1, golden)
    rtl = dataclasses.replace(traced[0], spikes={n: 1 - v if n == "conv1" else v for n, v in traced[0].spikes.items()})
    RecordedImage(
        index=0, label=1, pixels=pixels[0].numpy(), golden=traced[0], rtl=rtl, logits=golden.logits[0].numpy(),
        rtl_logits=golden.logits[0].numpy(), rtl_prediction=0,
    ).save(path, {"artifact": "a", "images": {"rtl": 1}})  # fmt: skip
    with safe_open(path, framework="numpy") as stream:
        true = json.loads(stream.metadata()["spikeloom"])
        known = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118
    accepted = 0
    for number in range(MUTATIONS // 2):
        rng = random.Random(number)
        header, tensors, kind = true, dict(known), rng.randrange(4)
        if kind == 0:
            change_value(tensors, rng)
        elif kind == 1:
            value = tensors.pop(rng.choice(list(tensors)))
            tensors[rng.choice([*known, "rtl.pooled.conv2", "rtl.spikes.head", "x" * 500])] = rng.choice([
                value, value[:0], value[None], value.astype(np.float32), np.zeros((1 << 16, 0), np.uint8),
            ])  # fmt: skip
        else:
            header = mutated_tree(true, rng)
        loaded = outcome(
            lambda path: load_recorded_image(path, network), path, made_up(header, tensors, rng, version=1), number
        )
        if loaded is not None:
            loaded.save(path, {})
            again = load_recorded_image(path, network)
            assert (again.index, again.label, again.differs) == (loaded.index, loaded.label, loaded.differs), number
            assert all(
                np.array_equal(kept, read)
                for ours, theirs in ((loaded.golden, again.golden), (loaded.rtl, again.rtl))
                for _, _, kept, read in ours.beside(theirs)
            ), number
            accepted += 1
    assert 0 < accepted < MUTATIONS // 4


def zipped(members: dict[str, bytes], method: int) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return buffer.getvalue()


def test_damaged_arrays():
    path = Path("a.npz")
    network = NetworkConfig(image_size=4, image_channels=1, classes=2, embed_dim=8, depth=1, heads=1)

    def read_images(path: Path) -> ImageSet:
        return images_from_file(path, network)

    images = np.arange(48, dtype=np.uint8).reshape(3, 1, 4, 4)
    members = {}
    for name, array in (("images", images), ("labels", np.array([0, 1, 1]))):
        buffer = io.BytesIO()
        np.save(buffer, array)
        members[name] = buffer.getvalue()
    shapes = [
        "8000000000,",
        "3, 1, 4, 4000000000",
        f"{1 << 63},",
        "-3, 1, 4, -4",
        "0, 0, 0, 0",
        "3, 1, 4, True",
        "(" * 150,
    ]
    types = ["|O", ">u8", "<f8", "<c16", "|S0", "<U4", "V", "|u1'), ('b", "<M8[ns]", "9" * 300]
    accepted = 0
    for number in range(MUTATIONS):
        rng = random.Random(number)
        mutated, method = dict(members), rng.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
        name, kind = rng.choice(list(members)), rng.randrange(4)
        if kind == 1:
            mutated[name] = damaged(members[name], rng)
        elif kind == 2:
            old = b"(3, 1, 4, 4)" if name == "images" else b"(3,)"
            mutated[name] = members[name].replace(old, f"({rng.choice(shapes)})".encode())
        elif kind == 3:
            old = b"|u1" if name == "images" else b"<i8"
            mutated[name] = members[name].replace(old, rng.choice(types).encode())
        content = zipped(mutated, method)
        read = outcome(read_images, path, damaged(content, rng) if kind == 0 else content, number)
        if read is not None:
            np.savez(path, images=read.images.numpy(), labels=read.labels.numpy())
            again = read_images(path)
            assert again.images.equal(read.images) and again.labels.equal(read.labels), number
            accepted += 1
    assert 0 < accepted < MUTATIONS // 2


def test_damaged_configurations():
    path = Path("mine.json")
    accepted = 0
    for number in range(MUTATIONS):
        rng = random.Random(number)
        tree: Any = MINI.to_dict() if rng.random() < 0.5 else {"module": "spikeloom", "config": MINI.to_dict()}
        text = json.dumps(tree, indent=2) if number % 2 else as_json(mutated_tree(tree, rng), rng)
        content = damaged(text.encode(), rng) if number % 2 else text.encode()
        config = outcome(lambda path: ConfigType().convert(str(path), None, None), path, content, number)
        if config is not None:
            assert HardwareConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config, number
            accepted += 1
    assert 0 < accepted < MUTATIONS // 2


TOML_VALUES = [
    "nan", "-inf", "1e999", "0x" + "f" * 400, "9" * 400, "1" * 5000, "-1", "0", "2.0", "1_000", "true", "[]", "{}",
    '""', '"[/red]"', '"../../../x"', '"/etc/passwd"', '"\\u0000"', '"\\u001b[2J"', f'"{"x" * 400}"',
    "1979-05-27T07:32:00Z", "[" * 200 + "]" * 200, "[\n" * 3000, "{a = " * 90 + "1" + "}" * 90, '"spikformer-4-256"',
    f'"""{"y" * 2000}"""', f"1\n{'.'.join('a' * 240)} = 2", f"1\n[{'.'.join('b' * 240)}]", "1\nname = 4",
    "1\n[float_phase]",
]  # fmt: skip


def mutated_recipe(rng: random.Random) -> bytes:
    """A recipe with damaged bytes, a line elsewhere, or a value or a word of a line replaced."""
    lines = RECIPE.splitlines()
    places = [number for number, line in enumerate(lines) if "=" in line]
    at, kind = rng.choice(places), rng.randrange(4)
    if kind == 0:
        return damaged(RECIPE.encode(), rng)
    if kind == 1:
        lines.insert(rng.choice(places), lines.pop(at))
    elif kind == 2:
        lines[at] = lines[at].replace(rng.choice(re.findall(r"[\w\"]+", lines[at])), rng.choice(TOML_VALUES), 1)
    else:
        lines[at] = f"{lines[at].split(' = ')[0]} = {rng.choice(TOML_VALUES)}"
    return "\n".join(lines).encode()


def test_damaged_recipes():
    path = Path("mine.toml")
    accepted = 0
    for number in range(MUTATIONS):
        recipe = outcome(load_recipe, path, mutated_recipe(random.Random(number)), number)
        if recipe is not None:
            table = {key: value for key, value in dataclasses.asdict(recipe).items() if value is not None}
            table["network"] = {key: value for key, value in table["network"].items() if key not in OF_THE_DATA_SET}
            assert recipe_of(table) == recipe, number
            accepted += 1
    assert 0 < accepted < MUTATIONS // 2
