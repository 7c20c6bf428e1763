"""What the parts of the report are made of: sections, and in them plots, pictures and tables with their words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from plotly.graph_objects import Figure


@dataclass(frozen=True)
class Table:
    """Rows under headings.

    Attributes
    ----------
    columns : tuple of str
        Headings.
    rows : tuple of tuples
        A cell for each column; the first one is the row's heading. Texts are shown as they are, integers with
        thousands separators, floats with three significant digits, None as a dash.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str | int | float | None, ...], ...]


@dataclass(frozen=True)
class Picture:
    """An image made of pixels, drawn enlarged with sharp edges.

    Attributes
    ----------
    pixels : uint8 array [H, W] or [H, W, 3]
        Grey, or red, green and blue.
    caption : str
    alternative : str
        What it shows, in words.
    """

    pixels: NDArray[np.uint8]
    caption: str
    alternative: str


@dataclass(frozen=True)
class Plot:
    """A figure of plotly.

    Attributes
    ----------
    figure : Figure
        With no background, font or grid colours of its own: the page sets them, light and dark. It can be zoomed, and
        has buttons for it, if its layout has a ``dragmode``. Traces of WebGL (``scattergl``) are not drawn: the page
        forbids the code they make. Names that users gave go through `spikeloom.report.words.plain`.
    height : int
        In pixels.
    """

    figure: Figure
    height: int = 400


@dataclass(frozen=True)
class Exhibit:
    """One thing to look at, and the sentence that says what to see.

    Attributes
    ----------
    name : str
        Unique in the page: letters, digits, hyphens.
    title : str
    see : str
        One sentence: what there is to see.
    content : Plot, Table or tuple of Picture
    alternative : str
        Of a plot: what it shows in words, with its main figures.
    table : Table, optional
        The same data, folded away, for reading by keyboard and screen reader.
    """

    name: str
    title: str
    see: str
    content: Plot | tuple[Picture, ...] | Table
    alternative: str = ""
    table: Table | None = None


@dataclass(frozen=True)
class Section:
    """A part of the page.

    Attributes
    ----------
    name : str
        Unique in the page: letters, digits, hyphens.
    title : str
    exhibits : tuple of Exhibit
    missing : str
        If there is nothing to show: what to run, such as ``make synth CONFIG=base``.
    """

    name: str
    title: str
    exhibits: tuple[Exhibit, ...]
    missing: str = ""
