"""Pictures of a convolution's filters as in [A]: red negative, blue positive, white zero.

Time runs across and frequency down, the lowest mel bin at the top. Filters are arrays
(n_filters, n_pieces, n_mels, width): of a maxout filter's pieces each is drawn, side by side.
"""

import io
from typing import NamedTuple

import matplotlib.image
import numpy as np

from audiorec_cli.mel_scale import edges_of_filters
from audiorec_cli.output.pictures import DPI, blank_figure, plain_style

RED, WHITE, BLUE = (np.array(rgb) for rgb in ((222, 24, 24), (255, 255, 255), (24, 64, 206)))
DARK_RED = (112, 0, 0)  # between filters
GREY = (190, 190, 190)  # between the pieces of a maxout filter

TICKS_HZ = np.array([100, 200, 500, 1000, 2000, 5000, 10_000])
BINS_A_TICK = 32  # where it is unknown how many Hz they are
SMALL, PLAIN, LARGE = 8, 9, 12  # points

# All that follows is in pixels, but for the numbers of strips, frames and panels a row.
STRIPS_A_ROW, FRAMES_A_ROW = 64, 1024
CELL_WIDTH, CELL_HEIGHT = 6, 4
DIGIT_WIDTH = 8  # of the numbers above
LINE_WIDTH = 2
LEFT, TOP, RIGHT, ROW_GAP = 64, 32, 100, 36

PANELS_A_ROW = 8
PANEL_WIDTH, PANEL_CELL_HEIGHT = 120, 5
PANEL_LEFT, PANEL_TOP, PANEL_BOTTOM, PIECE_GAP = 72, 44, 56, 32

BAR_WIDTH, BAR_GAP = 12, 24


class Grid(NamedTuple):
    """How far apart the frames of the spectrograms are, and up to where they reach.

    sample_rate : Hz; hop_length : samples
    """

    sample_rate: int
    hop_length: int


def colour_scale(filters):
    """The weight that is drawn in the strongest colour: the largest there is, of either sign."""
    return float(np.abs(filters).max()) or 1.0


def colours(weights, scale):
    """Weights as colours: red negative, white 0, blue positive, strongest from `scale` on.

    weights : any shape; Returns the same shape and an axis more, RGB, uint8.
    """
    share = np.clip(np.asarray(weights) / scale, -1, 1)[..., None]
    strongest = np.where(share < 0, RED, BLUE)
    return np.rint(WHITE + np.abs(share) * (strongest - WHITE)).astype(np.uint8)


def strip_png(weights, scale):
    """A PNG of one filter, a pixel a weight.

    weights : (n_mels, width), or (n_pieces, n_mels, width), whose pieces are drawn side by side
        with a grey line between; scale : as in colours
    Returns bytes.
    """
    pieces = np.reshape(weights, (-1, *np.shape(weights)[-2:]))
    png = io.BytesIO()
    pixels = _strip(pieces, scale, cell=(1, 1))
    matplotlib.image.imsave(png, pixels, format="png", metadata={"Software": None})
    return png.getvalue()


def _strip(pieces, scale, cell):
    """(height, width, 3) uint8: the pieces of a filter, cells of (height, width) pixels."""
    parts = []
    for piece in pieces:
        pixels = colours(piece, scale).repeat(cell[0], axis=0).repeat(cell[1], axis=1)
        parts += [_column(len(pixels), 1, GREY), pixels]
    return np.concatenate(parts[1:], axis=1)


def _column(height, width, rgb):
    return np.full((height, width, 3), rgb, np.uint8)


@plain_style()
def side_by_side(filters, numbers, grid=None, quantity="weight"):
    """A Figure of all filters as strips, with a dark red line between, in rows.

    numbers : (n_filters,) written above the strips
    grid : Grid of the spectrograms; None where it is unknown, and mel bins are counted
    quantity : what is drawn, in a word or two
    """
    n_filters, n_pieces, n_mels, width = filters.shape
    widest_number = DIGIT_WIDTH * len(str(max(numbers)))
    cell = (CELL_HEIGHT, max(CELL_WIDTH, -(-widest_number // (n_pieces * width))))
    strips_a_row = min(STRIPS_A_ROW, max(n_pieces, FRAMES_A_ROW // width))
    a_row = min(n_filters, strips_a_row // n_pieces)
    scale, height = colour_scale(filters), n_mels * cell[0]
    pitch = n_pieces * (width * cell[1] + 1) - 1 + LINE_WIDTH
    row_width, n_rows = a_row * pitch + LINE_WIDTH, -(-n_filters // a_row)
    figure = blank_figure(LEFT + row_width + RIGHT, TOP + n_rows * (height + ROW_GAP))
    for row in range(n_rows):
        shown = slice(row * a_row, (row + 1) * a_row)
        pixels = _row(filters[shown], scale, cell)
        top = TOP + row * (height + ROW_GAP)
        axes = _axes(figure, LEFT, top, pixels.shape[1], height)
        _show(axes, pixels, (0, pixels.shape[1], *_bins(n_mels)))
        axes.set_xticks([])
        axes.spines[:].set_visible(False)
        axes.spines.left.set_position(("outward", 1))  # or ticks cover the first line
        _frequency_ticks(axes, n_mels, grid)
        for index, number in enumerate(numbers[shown]):
            x = LEFT + index * pitch + (pitch + LINE_WIDTH) / 2
            _write(figure, x, top - 4, str(number), SMALL)
    _colour_bar(figure, LEFT + row_width + BAR_GAP, TOP, height, scale, quantity)
    return figure


def _row(filters, scale, cell):
    """(height, width, 3) uint8: filters side by side, a dark red line before and after each."""
    line = _column(filters.shape[2] * cell[0], LINE_WIDTH, DARK_RED)
    parts = [line]
    for pieces in filters:
        parts += [_strip(pieces, scale, cell), line]
    return np.concatenate(parts, axis=1)


@plain_style()
def enlarged(filters, numbers, grid=None, quantity="weight"):
    """A Figure of a few filters side by side, each with its number and scales of its own.

    numbers, grid, quantity : as in side_by_side; without a grid, mel bins and frames are counted
    """
    n_filters, n_pieces, n_mels, width = filters.shape
    scale, height = colour_scale(filters), n_mels * PANEL_CELL_HEIGHT
    piece_width = width * max(1, PANEL_WIDTH // width)
    panel_width = n_pieces * (piece_width + PIECE_GAP) - PIECE_GAP
    a_row = min(n_filters, PANELS_A_ROW)
    n_rows = -(-n_filters // a_row)
    pitch, row_height = PANEL_LEFT + panel_width, PANEL_TOP + height + PANEL_BOTTOM
    figure = blank_figure(a_row * pitch + RIGHT, n_rows * row_height)
    for index, (pieces, number) in enumerate(zip(filters, numbers, strict=True)):
        row, column = divmod(index, a_row)
        left, top = column * pitch + PANEL_LEFT, row * row_height + PANEL_TOP
        _write(figure, left + panel_width / 2, top - 12, f"filter {number}", LARGE)
        for piece, weights in enumerate(pieces):
            x = left + piece * (piece_width + PIECE_GAP)
            axes = _axes(figure, x, top, piece_width, height)
            _panel(axes, weights, scale, grid, is_first=piece == 0)
    _colour_bar(figure, a_row * pitch + BAR_GAP, PANEL_TOP, height, scale, quantity)
    return figure


def _panel(axes, weights, scale, grid, *, is_first):
    n_mels, width = weights.shape
    frame = 1 if grid is None else 1000 * grid.hop_length / grid.sample_rate
    _show(axes, colours(weights, scale), (0, width * frame, *_bins(n_mels)))
    frames = np.unique([0, width // 2, width])
    axes.set_xticks(frames * frame, np.rint(frames * frame).astype(int), fontsize=PLAIN)
    axes.set_xlabel("frame" if grid is None else "ms", fontsize=PLAIN)
    axes.spines[:].set_color(_share(DARK_RED))
    if is_first:
        _frequency_ticks(axes, n_mels, grid, fontsize=PLAIN)
    else:
        axes.set_yticks([])


def _show(axes, pixels, extent):
    """Fill axes with an image, sharp; extent : what is left, right, below and above."""
    axes.imshow(pixels, aspect="auto", interpolation="none", extent=extent)


def _bins(n_mels):
    """Below and above: the lowest mel bin on top, whole numbers in the middle of the bins."""
    return n_mels - 0.5, -0.5


def _frequency_ticks(axes, n_mels, grid, fontsize=SMALL):
    if grid is None:
        bins = np.arange(0, n_mels, BINS_A_TICK)
        axes.set_yticks(bins, bins)
    else:
        centres = edges_of_filters(n_mels, grid.sample_rate)[1:-1]
        hz = TICKS_HZ[(centres[0] <= TICKS_HZ) & (centres[-1] >= TICKS_HZ)]
        axes.set_yticks(np.interp(hz, centres, np.arange(n_mels)), hz)
    axes.set_ylabel("mel bin" if grid is None else "Hz", fontsize=fontsize, labelpad=2)
    axes.tick_params(axis="y", labelsize=fontsize, length=2)


def _colour_bar(figure, left, top, height, scale, quantity):
    axes = _axes(figure, left, top, BAR_WIDTH, height)
    shown = np.linspace(scale, -scale, height)[:, None]
    _show(axes, colours(shown, scale), (0, 1, -scale, scale))
    axes.set_xticks([])
    axes.yaxis.tick_right()
    axes.set_yticks([-scale, 0, scale], [f"{-scale:.2g}", "0", f"{scale:.2g}"], fontsize=SMALL)
    axes.set_title(quantity, fontsize=SMALL)


def _axes(figure, left, top, width, height):
    """Axes at pixels, from the left and the top of the figure."""
    whole_width, whole_height = figure.get_size_inches() * DPI
    bottom = whole_height - top - height
    return figure.add_axes(
        (left / whole_width, bottom / whole_height, width / whole_width, height / whole_height)
    )


def _write(figure, x, y, text, fontsize):
    """Write text centred above a point, in pixels from the left and the top."""
    width, height = figure.get_size_inches() * DPI
    figure.text(x / width, 1 - y / height, text, ha="center", va="bottom", fontsize=fontsize)


def _share(rgb):
    return tuple(value / 255 for value in rgb)
