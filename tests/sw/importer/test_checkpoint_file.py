"""Checkpoint files: nothing of them runs, and what is damaged, claims too much or holds other things is refused."""

from __future__ import annotations

import io
import os
import pickle
import random
import re
import tarfile
import zipfile

import pytest
import torch
from safetensors.torch import save
from torch import nn

from sw.errors import UserError
from sw.importer.checkpoint_file import read_weights
from sw.importer.float_model import float_model
from sw.importer.shape import check_tensors, find_layout, network_of
from tests.sw.importer.checkpoints import checkpoint, lively, network

STATE = checkpoint(lively(network("authors-cifar", depth=1)), "authors-cifar")
FORMATS = ("zip", "legacy", "safetensors")


def written(content, kind="zip"):
    """Bytes of a checkpoint file."""
    if kind == "safetensors":
        return save({key: value.contiguous() for key, value in content.items()})
    buffer = io.BytesIO()
    torch.save(content, buffer, _use_new_zipfile_serialization=kind == "zip")
    return buffer.getvalue()


def placed(tmp_path, content, kind="zip"):
    path = tmp_path / ("model.safetensors" if kind == "safetensors" else "model.pth")
    path.write_bytes(content)
    return path


def imported(path):
    """The float model, as the command makes it."""
    tensors = read_weights(path).tensors
    found = find_layout(tensors)
    config = network_of(found, image_size=32, heads=2, timesteps=4)
    check_tensors(found.layout, config, tensors)
    return float_model(found.layout, config, tensors)


def refusal(path):
    with pytest.raises(UserError) as refused:
        imported(path)
    message = str(refused.value).removeprefix(f"{path}: ")
    assert len(message) < 220 and message.isprintable()
    return message


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_gives_the_same_weights(tmp_path, kind):
    tensors = read_weights(placed(tmp_path, written(STATE, kind), kind)).tensors
    assert tensors.keys() == STATE.keys()
    assert all(torch.equal(tensors[key], value) for key, value in STATE.items())


class Harmful:
    """What unpickling would run."""

    def __init__(self, path):
        self._path = path

    def __reduce__(self):
        return os.mkdir, (str(self._path),)


def legacy_tar(content):
    """The format of torch before 0.2: pickles in a tar file."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name in ("sys_info", "pickle", "storages", "tensors"):
            data = pickle.dumps(content, protocol=2)
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


@pytest.mark.parametrize("suffix", [".pth", ".pth.tar", ".safetensors"])
@pytest.mark.parametrize(
    ("form", "message"),
    [
        (written, r"holds an object of \S*mkdir, and code of a file is never run; save the weights alone"),
        (lambda content: written(content, "legacy"), r"holds an object of \S*mkdir, and code of a file is never run"),
        (lambda content: pickle.dumps(content, protocol=2), r"holds an object of \S*mkdir"),
        (pickle.dumps, "not a checkpoint of torch.save; save the weights alone"),
        (legacy_tar, r"not a whole checkpoint \(RuntimeError\); copy or save the weights alone"),
    ],
)
def test_nothing_of_a_file_runs(tmp_path, form, message, suffix):
    harm, path = tmp_path / "harm", tmp_path / f"model{suffix}"
    path.write_bytes(form({"hook": Harmful(harm), "state_dict": STATE}))
    found = refusal(path)
    assert not harm.exists()
    if suffix == ".safetensors":
        message = r"not a whole checkpoint \(SafetensorError\)"
    assert re.match(message, found), found


def test_the_files_of_the_test_before_would_run_where_torch_may(tmp_path):
    path = placed(tmp_path, written({"hook": Harmful(tmp_path / "harm")}))
    torch.load(path, weights_only=False)
    assert (tmp_path / "harm").is_dir()


@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
def test_a_torchscript_archive_is_not_run(tmp_path):
    torch.jit.script(nn.Linear(2, 2)).save(str(tmp_path / "model.pth"))
    assert refusal(tmp_path / "model.pth").startswith("a TorchScript archive, and code of a file is never run; save")


def test_a_whole_model_is_refused_with_the_remedy(tmp_path):
    found = refusal(placed(tmp_path, written(nn.Linear(2, 2))))
    assert found.startswith("holds an object of torch.nn.modules.linear.Linear, and code of a file is never run; save")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w.to_sparse(), "sparse or nested (torch.sparse_coo); save tensor.to_dense()"),
        (lambda w: w.to_sparse_csr(), "sparse or nested (torch.sparse_csr); save tensor.to_dense()"),
        (lambda w: torch.nested.nested_tensor(list(w)), "sparse or nested (torch.strided); save tensor.to_dense()"),
        (lambda w: torch.quantize_per_tensor(w, 0.1, 0, torch.qint8), "quantised (torch.qint8); save "
         "tensor.dequantize()"),
        (lambda w: w.to("meta"), "on the device meta, without values; save the model when it holds its weights"),
        (lambda w: w.to(torch.complex64), "complex (torch.complex64); save real weights"),
        (lambda w: w.to(torch.int8), "of torch.int8, codes without their scale; save the weights they stand for as "
         "float32"),
        (lambda w: w.to(torch.int64), "of torch.int64, codes without their scale; save the weights they stand for as "
         "float32"),
        (lambda w: w > 0, "of torch.bool, codes without their scale; save the weights they stand for as float32"),
        (lambda w: w.to(torch.float8_e5m2), "of torch.float8_e5m2, codes without their scale; save the weights they "
         "stand for as float32"),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore")
def test_tensors_that_are_no_plain_floats_are_refused(tmp_path, change, message):
    key = "block.0.attn.q_linear.weight"
    path = placed(tmp_path, written(STATE | {key: change(STATE[key])}))
    assert refusal(path) == f"{key} is {message}"


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_floats_and_parameters_are_taken(tmp_path, dtype):
    state = {key: nn.Parameter(value.to(dtype)) if value.is_floating_point() else value for key, value in STATE.items()}
    model = imported(placed(tmp_path, written(state)))
    expected = STATE["block.0.attn.q_linear.weight"].to(dtype).to(torch.float32)
    assert torch.equal(model.get_parameter("block0.q.weights.weight"), expected)


def test_values_beyond_float32_are_refused(tmp_path):
    state = {key: value.double() for key, value in STATE.items()}
    state["head.bias"][3] = 1e300
    assert refusal(placed(tmp_path, written(state))).startswith("head.bias holds values that are not finite in float32")


@pytest.mark.parametrize("kind", ["zip", "legacy"])
def test_a_view_that_claims_terabytes_is_refused_before_it_is_read(tmp_path, kind):
    state = STATE | {"patch_embed.rpe_conv.weight": torch.zeros(1).expand(1 << 20, 1 << 20, 3, 3)}
    assert refusal(placed(tmp_path, written(state, kind), kind)).startswith("claims to hold 39,582,4")


def test_a_file_that_expands_is_refused(tmp_path):
    path = tmp_path / "model.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("model/data/0", "w") as stream:
        for _ in range(64):
            stream.write(bytes(1 << 20))
    assert refusal(path).startswith("claims to hold 67,108,864 bytes, the file has ")


def test_a_flipped_bit_of_a_weight_is_noticed(tmp_path):
    content = bytearray(written(STATE))
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        record = max(archive.infolist(), key=lambda each: each.file_size)
    content[record.header_offset + 1000] ^= 1
    assert refusal(placed(tmp_path, bytes(content))) == (
        f"{record.filename} does not match its checksum; copy or save the weights alone, "
        "torch.save(model.state_dict(), ...), and import that"
    )


def test_files_wrong(tmp_path):
    assert refusal(tmp_path / "missing.pth") == (
        "cannot be read (no such file or directory); give the path of a checkpoint"
    )
    assert refusal(tmp_path) == "a folder; give the path of a checkpoint"
    os.mkfifo(tmp_path / "pipe")
    assert refusal(tmp_path / "pipe") == "no file; give the path of a checkpoint"
    for name, content in (("text.pth", b"hello"), ("empty.pth", b""), ("empty.safetensors", b"")):
        (tmp_path / name).write_bytes(content)
        assert refusal(tmp_path / name).startswith(("not a checkpoint of", "not a whole checkpoint"))


@pytest.mark.parametrize("kind", FORMATS)
def test_a_file_that_was_cut_is_refused(tmp_path, kind):
    whole = written(STATE, kind)
    for share in range(1, 20):
        found = refusal(placed(tmp_path, whole[: len(whole) * share // 20], kind))
        assert found.startswith(("not a checkpoint of", "not a whole checkpoint")), found


def mutated(content, random_, key_place):
    """A file with a few damaged bytes, a cut, a gap or something twice."""
    data = bytearray(content)
    place = random_.choice((random_.randrange(len(data)), (key_place + random_.randrange(3000)) % len(data)))
    match random_.randrange(5):
        case 0:
            data[place] ^= 1 << random_.randrange(8)
        case 1:
            for _ in range(20):
                data[random_.randrange(len(data))] = random_.randrange(256)
        case 2:
            del data[place:]
        case 3:
            data[place : place + 50] = bytes(random_.randrange(80))
        case 4:
            data[place:place] = data[place // 2 : place // 2 + random_.randrange(1, 100)]
    return bytes(data)


@pytest.mark.parametrize("kind", FORMATS)
def test_damaged_files_are_refused_in_one_line_or_give_a_network(tmp_path, kind):
    random_, content = random.Random(1), written({"state_dict": STATE} if kind != "safetensors" else STATE, kind)
    place = content.find(b"patch_embed")
    outcomes = {"refused": 0, "imported": 0}
    for _ in range(200):
        path = placed(tmp_path, mutated(content, random_, place), kind)
        try:
            model = imported(path)
        except UserError as error:
            message = str(error).removeprefix(f"{path}: ")
            assert len(message) < 220 and message.isprintable()
            outcomes["refused"] += 1
        else:
            assert model.config.embed_dim == 16
            assert all(bool(torch.isfinite(value).all()) for value in model.state_dict().values())
            outcomes["imported"] += 1
    assert outcomes["refused"] > 100
