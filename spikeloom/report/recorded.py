"""What the sections about the recorded image share: reading it, and its words."""

from __future__ import annotations

from collections.abc import Callable

from sim.comparison.recorded_image import RECORDING, RecordedImage, load_recorded_image
from spikeloom.report.inputs import Inputs
from spikeloom.report.section import Exhibit, Section
from sw.artifact.artifact import Artifact
from sw.errors import UserError

Maker = Callable[[RecordedImage, Artifact], tuple[Exhibit, ...]]


def recorded_section(name: str, title: str, inputs: Inputs, make: Maker) -> Section:
    """A section about the recorded image; if none was traced, or its file cannot be used, it says what to run.

    Parameters
    ----------
    name, title : str
        Of the section.
    inputs : Inputs
    make : callable
        Makes its exhibits of the recorded image and the artifact.
    """
    try:
        image = load_recorded_image(inputs.folder / RECORDING, inputs.artifact.network)
    except UserError:
        run = f"make compare MODEL={inputs.compare['artifact']} CONFIG={inputs.compare['hardware']['config']}"
        return Section(name, title, (), run)
    return Section(name, title, make(image, inputs.artifact))


def image_name(image: RecordedImage, artifact: Artifact) -> str:
    """Which image it is, its class and what is predicted, in words."""
    parts = [f"image {image.index}"]
    if image.label is not None:
        parts.append(class_name(artifact, image.label))
    if image.rtl_prediction is None:
        parts.append(f"golden model says {class_name(artifact, image.prediction)}, no result in RTL")
    elif image.rtl_prediction != image.prediction:
        golden, rtl = (class_name(artifact, number) for number in (image.prediction, image.rtl_prediction))
        parts.append(f"golden model says {golden}, RTL {rtl}")
    else:
        parts.append(f"predicted {class_name(artifact, image.prediction)}")
    return ", ".join(parts)


def class_name(artifact: Artifact, number: int) -> str:
    """A class by its name, or by its number if it has none."""
    return f"class {number}" if artifact.class_names is None else artifact.class_names[number]
