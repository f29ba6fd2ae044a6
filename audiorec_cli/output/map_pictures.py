"""A map of tracks as a picture."""

import contextlib
import warnings

import numpy as np
from matplotlib import font_manager
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.lines import Line2D

from audiorec_cli.output.map_legend import OTHER_COLOR, point_size
from audiorec_cli.output.pictures import blank_figure, plain_style, save_picture
from audiorec_cli.output.writing import one_line

WIDTH, HEIGHTS = 2000, (1000, 1600)  # pixels; as high as the map asks for, between two limits
FRAME = (0.01, 0.01, 0.79, 0.98)  # of the map in the figure: left, bottom, width, height
MARGIN = 1.05  # around the outermost tracks
POINT_SCALE = 1.1  # points of print a pixel of a screen
LABEL_SIZE, LEGEND_SIZE = 12, 11  # points
LEGEND_LETTERS = 26  # what fits beside the map
STEPS = (0, 1, -1, 1.5, -1.5, 2, -2, 2.5, -2.5)  # of its heights, by which a label gives way
MANY = 5000  # points, which an SVG holds as an image
# Each is asked for the letters that the ones before it lack.
FAMILIES = ("DejaVu Sans", "Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans CJK KR",
            "Source Han Sans SC", "WenQuanYi Zen Hei", "Microsoft YaHei", "Yu Gothic",
            "Malgun Gothic", "PingFang SC", "Hiragino Sans", "Arial Unicode MS")  # fmt: skip


def save_map(xy, coloring, regions, out):
    """Draw a map and write it as PNG or SVG, by the suffix of `out`, whole or not at all.

    xy : (n, 2) float32 between -1 and 1; coloring : Coloring of the n tracks
    regions : with x, y and name, the most important first; a name without room is left out
    """
    with _letters_may_be_missing():
        save_picture(map_picture(xy, coloring, regions), out)


@plain_style()
def map_picture(xy, coloring, regions):
    """The figure that `save_map` writes."""
    reach_x, reach_y = np.maximum(np.abs(xy).max(axis=0), 1e-3) * MARGIN
    height = np.clip(round(FRAME[2] * WIDTH * reach_y / reach_x), *HEIGHTS)
    figure = blank_figure(WIDTH, height)
    axes = figure.add_axes(FRAME)
    axes.set_axis_off()
    ratio = FRAME[2] * WIDTH / (FRAME[3] * height)
    reach = max(reach_y, reach_x / ratio)  # both axes on one scale
    axes.set(xlim=(-reach * ratio, reach * ratio), ylim=(-reach, reach))
    _draw_points(axes, xy, np.array(coloring.colors))
    families = _families()
    _draw_legend(figure, coloring.legend, families)
    _draw_labels(axes, xy, regions, families)
    return figure


def _draw_points(axes, xy, colors):
    area = (point_size(len(xy)) * POINT_SCALE) ** 2
    is_other = colors == OTHER_COLOR
    for rows, alpha in ((is_other, 0.35), (~is_other, 0.9)):  # the coloured ones on top
        axes.scatter(
            *xy[rows].T,
            s=area,
            c=colors[rows],
            alpha=alpha,
            linewidths=0,
            rasterized=len(xy) > MANY,
        )


def _draw_legend(figure, legend, families):
    points = [
        Line2D([], [], linestyle="", marker="o", markersize=9, markeredgewidth=0, color=color)
        for _, color, _ in legend
    ]
    drawn = figure.legend(
        points,
        [f"{_shortened(name)}  {count}" for name, _, count in legend],
        loc="center left",
        bbox_to_anchor=(FRAME[0] + FRAME[2], 0.5),
        frameon=False,
        prop={"size": LEGEND_SIZE, "family": families},
        handletextpad=0.2,
        labelspacing=0.8,
    )
    for text in drawn.get_texts():
        text.set_parse_math(False)


def _shortened(name):
    return name if len(name) <= LEGEND_LETTERS else name[: LEGEND_LETTERS - 1].rstrip() + "…"


def _draw_labels(axes, xy, regions, families):
    """Write the names of regions, each where it covers no other and few tracks."""
    renderer, taken = FigureCanvasAgg(axes.figure).get_renderer(), []
    points = axes.transData.transform(xy)
    for region in regions:
        label = axes.annotate(
            _shortened(one_line(region.name)),
            (region.x, region.y),
            xytext=(0, 0),
            textcoords="offset pixels",
            ha="center",
            va="center",
            fontsize=LABEL_SIZE,
            fontweight="bold",
            fontfamily=families,
            color="#222222",
            parse_math=False,
            bbox={"boxstyle": "round,pad=0.1", "facecolor": "white", "alpha": 0.7, "linewidth": 0},
        )
        with _letters_may_be_missing():
            box = label.get_window_extent(renderer)
        place = _free_place(box, axes.bbox, taken, points)
        if place is None:
            label.remove()
        else:
            label.set_position(place)
            taken.append(box.translated(*place))


def _free_place(box, frame, taken, points):
    """How far to move a label, (x, y) in pixels, or None where all near it is taken.

    box : of the label as it is; frame : to keep it in; taken : boxes of other labels
    points : (n, 2) pixels, of which few are to be covered
    """
    aside = max(0, frame.x0 - box.x0) - max(0, box.x1 - frame.x1)
    best, least = None, np.inf
    for step in STEPS:
        moved = box.translated(aside, step * box.height)
        inside = frame.y0 <= moved.y0 and moved.y1 <= frame.y1
        covered = moved.count_contains(points) + abs(step)
        if inside and covered < least and not any(moved.overlaps(other) for other in taken):
            best, least = (aside, step * box.height), covered
    return best


def _families():
    """The fonts of FAMILIES that this machine has: matplotlib complains about any other."""
    there = set(font_manager.get_font_names())
    return [family for family in FAMILIES if family in there]


@contextlib.contextmanager
def _letters_may_be_missing():
    """A title in letters that no font here has is drawn as boxes, without a warning for each."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield
