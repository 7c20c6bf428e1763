"""One traced image of a comparison, kept to be looked at: what golden model and RTL made of it, and its file.

`compare_hardware` chooses the image. The file is a `sw.tensor_file`, `RECORDING` in the folder of the run, with these
tensors; layers have their names of `sw.network.NetworkConfig.layers`:

======================== ========= ====================== ============================================================
tensor                   dtype     shape                  meaning
======================== ========= ====================== ============================================================
image                    uint8     input shape            raw pixels, or counts of event frames
golden.spikes.<layer>    uint8     [ceil(T / 8), C, H, W] spikes before a pool: bit ``t mod 8`` of byte ``t // 8`` is
                                                          time step t
golden.pooled.<layer>    uint8     [ceil(T / 8), C, h, w] the same behind a pool that follows the neurons
golden.residuals.<layer> uint8     [T, C, H, W]           residual integers after a layer that joins them
golden.logits            int64     [classes]
rtl.<kind>.<layer>       uint8     [T, C, H, W]           only where the RTL differs from the golden model: its values,
                                                          `UNWRITTEN` where it has none
rtl.logits               int64     [classes]              if the accelerator came to a result
======================== ========= ====================== ============================================================

The header has ``index`` (number of the image among those of the run), ``label`` (null if it is not known),
``rtl_prediction`` (null without a result) and ``run``, figures of ``compare.json`` that say which run it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hw.integers import ceil_div
from hw.user_text import listed, quoted
from sim.comparison.decode import UNWRITTEN, Recorded
from sw.errors import UserError
from sw.files import write_atomically
from sw.network import NetworkConfig
from sw.tensor_file import CHECKSUM, TensorFormat, tensor_file

RECORDING = "recording.safetensors"
"""Name of the file."""

AGAIN = "run spikeloom compare again"

FORMAT = TensorFormat(
    name="spikeloom-recording", version=1, called="a recorded image", made_by="run spikeloom compare", again=AGAIN
)
HEADER_FIELDS = frozenset({"format", "version", CHECKSUM, "index", "label", "rtl_prediction", "run"})

Bytes = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True, eq=False)
class RecordedImage:
    """What golden model and RTL made of one image.

    Attributes
    ----------
    index : int
        Its number among the images of the run.
    label : int, optional
        Its class, if that is known.
    pixels : uint8 array
        Of the network's input shape.
    golden, rtl : Recorded
        Spikes, pooled spikes and residual integers.
    logits : int64 array [classes]
        Of the golden model.
    rtl_logits : int64 array [classes], optional
    rtl_prediction : int, optional
        None, as the logits, if the accelerator came to no result.
    """

    index: int
    label: int | None
    pixels: Bytes
    golden: Recorded
    rtl: Recorded
    logits: NDArray[np.int64]
    rtl_logits: NDArray[np.int64] | None
    rtl_prediction: int | None

    @property
    def prediction(self) -> int:
        """Class that the golden model predicts."""
        return int(np.argmax(self.logits))

    @property
    def differs(self) -> bool:
        """Whether golden model and RTL differ in anything."""
        return (
            self.rtl_logits is None
            or not np.array_equal(self.logits, self.rtl_logits)
            or self.prediction != self.rtl_prediction
            or any(not np.array_equal(mine, others) for _, _, mine, others in self.golden.beside(self.rtl))
        )

    def save(self, path: Path, run: Mapping[str, Any]) -> None:
        """Write the file, whole or not at all.

        Parameters
        ----------
        path : Path
        run : mapping of str to plain JSON values
            Figures that say which run it was.

        Raises
        ------
        OSError
            If it cannot be written.
        """
        tensors: dict[str, NDArray[Any]] = {"image": self.pixels, "golden.logits": self.logits}
        if self.rtl_logits is not None:
            tensors["rtl.logits"] = self.rtl_logits
        for layer, kind, expected, actual in self.golden.beside(self.rtl):
            tensors[f"golden.{kind}.{layer}"] = expected if kind == "residuals" else packed(expected)
            if not np.array_equal(expected, actual):
                tensors[f"rtl.{kind}.{layer}"] = actual
        header = {
            "format": FORMAT.name, "version": FORMAT.version, "index": self.index, "label": self.label,
            "rtl_prediction": self.rtl_prediction, "run": dict(run),
        }  # fmt: skip
        write_atomically(path, tensor_file(header, tensors))


def packed(spikes: Bytes) -> Bytes:
    """Spikes [T, ...], 0 or 1, as bytes [ceil(T / 8), ...]: time steps of a neuron, the first in the lowest bit."""
    return np.packbits(spikes, axis=0, bitorder="little")


def load_recorded_image(path: Path, network: NetworkConfig) -> RecordedImage:
    """Read the file of a run of this network.

    Raises
    ------
    UserError
        In one line, for what is not the whole file of an image that this network takes; says what to run.
    """
    header, tensors = FORMAT.read(path)
    try:
        _check_header(header, network)
        _check_tensors(tensors, network)
    except UserError as error:
        raise UserError(f"{path}: {error}; {AGAIN}") from error
    golden, rtl = Recorded({}, {}, {}), Recorded({}, {}, {})
    for kind, layer, _ in _places(network):
        stored = tensors[f"golden.{kind}.{layer}"]
        if kind != "residuals":
            stored = np.unpackbits(stored, axis=0, count=network.timesteps, bitorder="little")
        getattr(golden, kind)[layer] = stored
        getattr(rtl, kind)[layer] = tensors.get(f"rtl.{kind}.{layer}", stored)
    return RecordedImage(
        index=header["index"], label=header["label"], pixels=tensors["image"], golden=golden, rtl=rtl,
        logits=tensors["golden.logits"], rtl_logits=tensors.get("rtl.logits"),
        rtl_prediction=header["rtl_prediction"],
    )  # fmt: skip


def _places(network: NetworkConfig) -> Iterator[tuple[str, str, tuple[int, int, int]]]:
    """Kind, layer and ``[C, H, W]`` of every tensor of `Recorded` that a network gives."""
    for layer in network.layers():
        if layer.kind == "head":
            continue
        grid = layer.output_grid if layer.pool_first else (layer.height, layer.width)
        yield "spikes", layer.name, (layer.out_channels, *grid)
        if layer.pools_spikes:
            yield "pooled", layer.name, (layer.out_channels, *layer.output_grid)
        if layer.residual:
            yield "residuals", layer.name, (layer.out_channels, *grid)


def _check_header(header: dict[str, Any], network: NetworkConfig) -> None:
    if header.keys() != HEADER_FIELDS:
        raise UserError(f"header keys are {listed(sorted(header))}, not {listed(sorted(HEADER_FIELDS))}")
    for name, limit, optional in (
        ("index", 1 << 32, False), ("label", network.classes, True), ("rtl_prediction", network.classes, True),
    ):  # fmt: skip
        value = header[name]
        if not (optional and value is None) and not (type(value) is int and 0 <= value < limit):
            raise UserError(f"{name} must be 0 to {limit - 1:,}{' or null' * optional}, not {quoted(value)}")
    if not isinstance(header["run"], dict):
        raise UserError(f"run must be an object, not {quoted(header['run'])}")


def _check_tensors(tensors: Mapping[str, NDArray[Any]], network: NetworkConfig) -> None:
    steps, logits = network.timesteps, (np.int64, (network.classes,))
    needed: dict[str, tuple[type[np.generic], tuple[int, ...]]] = {
        "image": (np.uint8, network.input_shape), "golden.logits": logits,
    }  # fmt: skip
    known: dict[str, tuple[type[np.generic], tuple[int, ...]]] = {"rtl.logits": logits}
    for kind, layer, place in _places(network):
        first = steps if kind == "residuals" else ceil_div(steps, 8)
        needed[f"golden.{kind}.{layer}"] = np.uint8, (first, *place)
        known[f"rtl.{kind}.{layer}"] = np.uint8, (steps, *place)
    wrong = {"missing": needed.keys() - tensors.keys(), "unknown": tensors.keys() - (needed | known).keys()}
    for problem, names in wrong.items():
        if names:
            raise UserError(f"tensors {problem} for this network: {listed(sorted(names))}")
    for name, value in tensors.items():
        dtype, shape = (needed | known)[name]
        if value.dtype != dtype or value.shape != shape:
            wanted, found = f"{np.dtype(dtype)} {list(shape)}", quoted([str(value.dtype), *value.shape])
            raise UserError(f"{name} must be {wanted} for this network, not {found}")
        if name.startswith(("rtl.spikes", "rtl.pooled")) and ((value > 1) & (value != UNWRITTEN)).any():
            raise UserError(f"{name} must hold 0, 1 and {UNWRITTEN}, not {value[(value > 1) & (value < UNWRITTEN)][0]}")
