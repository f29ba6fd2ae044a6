"""Pictures drawn with matplotlib: the same wherever they are drawn, and written whole or not."""

import contextlib
import io
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from audiorec_cli.errors import AudiorecError
from audiorec_cli.output.writing import require_file, write_whole

SUFFIXES = (".png", ".svg")
DPI = 96  # as in CSS: a browser shows an SVG as large as the PNG
LARGEST_SIDE = 2**16 - 1  # pixels, which matplotlib can draw
# Without dates and versions the same picture has the same bytes.
METADATA = {".png": {"Software": None}, ".svg": {"Date": None, "Creator": "audiorec"}}


def require_picture(out):
    """Refuse a place or a format that no picture can be written to, before work goes into it."""
    if Path(out).suffix.lower() not in SUFFIXES:
        raise AudiorecError(f"{out}: no known picture format: end its name in .png or .svg")
    require_file(out)


@contextlib.contextmanager
def plain_style():
    """Matplotlib as it comes, whatever this machine's matplotlibrc says; text in SVG stays text.

    To make a figure in as well as to save it; serves as a decorator too.
    """
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "audiorec"})
        yield


def blank_figure(width, height):
    """A white figure of width x height pixels.

    Raises AudiorecError where that is more than can be drawn.
    """
    if max(width, height) > LARGEST_SIDE:
        raise AudiorecError(
            f"a picture of {width} x {height} pixels is larger than can be drawn: "
            "show less of it at a time"
        )
    return Figure(figsize=(width / DPI, height / DPI), dpi=DPI)


@plain_style()
def save_picture(figure, out):
    """Write a figure as PNG or SVG, by the suffix of the path `out`, whole or not at all."""
    drawn, suffix = io.BytesIO(), Path(out).suffix.lower()
    figure.savefig(drawn, format=suffix[1:], dpi=DPI, metadata=METADATA[suffix])
    write_whole(drawn.getvalue(), out)
