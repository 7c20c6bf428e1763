"""What an accuracy is of: how many images, and of which set. None is stored or shown without."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sw.data.sets import split_name

if TYPE_CHECKING:
    from sw.artifact.artifact import Artifact

UNKNOWN_SET = "a set that the artifact does not name"


def counts(correct: int, images: int, name: str) -> dict[str, Any]:
    """Entry for `Artifact.accuracy`.

    Parameters
    ----------
    correct, images : int
    name : str
        Which images, as `ImageSet.name` has it; the first ones of it, if not all.
    """
    return {"correct": correct, "images": images, "image_set": name}


def as_figures(entry: dict[str, Any]) -> dict[str, Any]:
    """What `counts` gives, as figures hold it: with the share of correct predictions, 0 to 1."""
    correct, images = entry["correct"], entry["images"]
    return {**counts(correct, images, entry["image_set"]), "accuracy": correct / images}


def recorded(artifact: Artifact) -> dict[str, dict[str, Any]]:
    """Accuracies that an artifact records, by name of the model, each as `counts` gives it.

    Artifacts did not name the set at first. Those of a training run were always measured on its test set.
    """
    trained = str(artifact.provenance.get("command")).startswith(("spikeloom train ", "spikeloom study "))
    name = split_name(artifact.dataset, "test") if trained else UNKNOWN_SET
    return {
        model: counts(entry["correct"], entry["images"], entry.get("image_set", name))
        for model, entry in artifact.accuracy.items()
    }
