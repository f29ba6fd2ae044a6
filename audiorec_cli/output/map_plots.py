"""A map of tracks to move about in, and the page that shows it without a network."""

import html

import numpy as np
from bokeh.core.properties import value
from bokeh.document import Document
from bokeh.embed import file_html
from bokeh.events import DocumentReady
from bokeh.models import (
    ColumnDataSource,
    CustomJS,
    HoverTool,
    LabelSet,
    PanTool,
    ResetTool,
    TapTool,
    WheelZoomTool,
)
from bokeh.plotting import figure
from bokeh.resources import INLINE

from audiorec_cli.output.map_legend import OTHER_COLOR, point_size
from audiorec_cli.output.writing import one_line

EDGE = 0.7  # from here on out, of a map between -1 and 1
MOST_UNDER_POINTER = 5  # tracks that are named at a time
TEXT_COLOR = {"light": "#222222", "dark": "#f2f2f2"}
PAPER = {"light": "#ffffff", "dark": "#16171a"}
# Bokeh writes what stands for @title as text, never as HTML.
TOOLTIP = '<div style="max-width:16em"><b>@title</b><br>@artist</div>'
ON_READY = """
const dark = window.matchMedia("(prefers-color-scheme: dark)")
const paint = () => {
  labels.text_color = dark.matches ? text.dark : text.light
  labels.background_fill_color = dark.matches ? paper.dark : paper.light
  points.selection_glyph.line_color = labels.text_color
}
dark.addEventListener("change", paint)
paint()
if (window.innerWidth < 760) {
  labels.text_font_size = "11px"
  const first = ([name, column]) => [name, Array.from(column).slice(0, 6)]
  labels.source.data = Object.fromEntries(Object.entries(labels.source.data).map(first))
  const {glyph, hover_glyph, selection_glyph, nonselection_glyph} = points
  for (const shape of [glyph, hover_glyph, selection_glyph, nonselection_glyph])
    shape.size = {value: shape.size.value * 0.6}
}
"""


def map_plot(xy, tracks, coloring, regions=()):
    """A Bokeh figure, "map", of tracks to hover over, tap, move and zoom.

    xy : (n, 2) float32; tracks : Tracks; coloring : Coloring of the n tracks
    regions : with x, y and name
    Its one source of points is "tracks", in the order of the tracks, with the columns x, y,
    title, artist, color and alpha, drawn by the renderer "points"; the names of regions are the
    label set "regions".
    It has no background of its own, so that it lies on pages light and dark.
    """
    plot = figure(
        name="map",
        tools=[],
        output_backend="webgl",
        match_aspect=True,
        sizing_mode="stretch_both",
        background_fill_color=None,
        border_fill_color=None,
        outline_line_color=None,
    )
    plot.axis.visible = plot.grid.visible = False
    points = _add_points(plot, _source(xy, tracks, coloring))
    plot.add_layout(_region_labels(regions))
    _add_tools(plot, points)
    return plot


def _source(xy, tracks, coloring):
    rows = range(len(tracks))
    return ColumnDataSource(
        name="tracks",
        data={
            "x": xy[:, 0],
            "y": xy[:, 1],
            "title": [one_line(tracks.title[row] or tracks.track_id[row]) for row in rows],
            "artist": [one_line(artist) for artist in tracks.artist],
            "color": coloring.colors,
            "alpha": np.where(np.array(coloring.colors) == OTHER_COLOR, 0.45, 0.9),
        },
    )


def _add_points(plot, source):
    size = point_size(len(source.data["x"]))
    points = plot.scatter(
        "x",
        "y",
        name="points",
        source=source,
        size=size,
        color="color",
        alpha="alpha",
        line_width=0,
    )
    points.hover_glyph = points.glyph.clone(size=size + 4, fill_alpha=1.0)
    points.selection_glyph = points.glyph.clone(
        size=size + 6, fill_alpha=1.0, line_color=TEXT_COLOR["light"], line_alpha=1.0, line_width=2
    )
    points.nonselection_glyph = points.glyph.clone(fill_alpha=0.35)
    return points


def _add_tools(plot, points):
    """Pan, zoom (by pinching too) and reset with buttons; hover and tap, always on, without."""
    zoom = WheelZoomTool()
    plot.add_tools(
        PanTool(),
        zoom,
        ResetTool(),
        TapTool(renderers=[points], mode="replace", visible=False),
        HoverTool(renderers=[points], tooltips=TOOLTIP, limit=MOST_UNDER_POINTER, visible=False),
    )
    plot.toolbar.logo = None
    plot.toolbar.active_scroll = zoom


def add_ring(plot):
    """Add the renderer "ring" to a plot, around what is in its source "chosen": nothing yet.

    With it one point is told from others that are selected, which lose their outline.
    """
    source = ColumnDataSource({"x": [], "y": []}, name="chosen")
    selected = plot.select_one({"name": "points"}).selection_glyph
    selected.line_width = 0
    plot.scatter(
        "x",
        "y",
        source=source,
        name="ring",
        size=selected.size + 8,
        fill_color=None,
        line_width=3,
        line_color=TEXT_COLOR["light"],
    )


def _region_labels(regions):
    source = ColumnDataSource(
        {
            "x": [region.x for region in regions],
            "y": [region.y for region in regions],
            "text": [one_line(region.name) for region in regions],
            "align": [_alignment(region.x) for region in regions],
        }
    )
    return LabelSet(
        name="regions",
        x="x",
        y="y",
        text="text",
        source=source,
        text_align="align",
        text_baseline="bottom",
        y_offset=8,  # above the densest place, not over it
        text_font=value("system-ui, sans-serif"),
        text_font_size="13px",
        text_font_style="bold",
        text_color=TEXT_COLOR["light"],
        background_fill_color=PAPER["light"],
        background_fill_alpha=0.7,
    )


def _alignment(x):
    """Names at the edges are written inwards, so that a narrow screen does not cut them off."""
    return "left" if x < -EDGE else "right" if x > EDGE else "center"


def map_page(plot, title, legend=()):
    """One HTML text that shows a map from `map_plot`, light or dark as the reader's system is.

    legend : (name, colour, number of tracks), as in a Coloring
    All it needs is in it: it asks nothing of any network, and is not allowed to.
    """
    document = Document()
    document.add_root(plot)
    arguments = {
        "labels": plot.select_one({"name": "regions"}),
        "points": plot.select_one({"name": "points"}),
        "text": TEXT_COLOR,
        "paper": PAPER,
    }
    document.js_on_event(DocumentReady, CustomJS(args=arguments, code=ON_READY))
    items = [
        f'<li><i style="background:{color}"></i>{html.escape(name)} <small>{count}</small></li>'
        for name, color, count in legend
    ]
    return file_html(
        document,
        INLINE,
        one_line(title),
        template=PAGE,
        template_variables={"legend": "\n".join(items), "text": TEXT_COLOR, "paper": PAPER},
    )


# Blocks of the page that Bokeh makes.
PAGE = """
{% block preamble %}
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data: blob:;
 script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'">
{% endblock %}
{% block resources %}
<style>
:root { color-scheme: light dark; --text: {{ text.light }}; --paper: {{ paper.light }} }
@media (prefers-color-scheme: dark) {
  :root { --text: {{ text.dark }}; --paper: {{ paper.dark }} }
}
* { box-sizing: border-box }
body { display: flex; flex-direction: column; height: 100vh; height: 100dvh; margin: 0;
       font: 15px/1.4 system-ui, sans-serif; color: var(--text); background: var(--paper) }
header { padding: 0.6em 1em 0 }
h1 { margin: 0; font-size: 1.1em }
ul { display: flex; flex-wrap: wrap; gap: 0.1em 1.1em; margin: 0.3em 0; padding: 0;
     list-style: none; max-height: 30vh; overflow: auto; overflow-wrap: anywhere }
li i { display: inline-block; width: 0.75em; height: 0.75em; margin-right: 0.4em;
       border-radius: 50% }
small { opacity: 0.7 }
main { flex: 1; min-height: 0; position: relative }
</style>
{{ bokeh_css if bokeh_css }}
{{ bokeh_js if bokeh_js }}
{% endblock %}
{% block contents %}
<header>
<h1>{{ title | e }}</h1>
<ul>{{ legend }}</ul>
</header>
<main>{% for root in docs[0].roots %}{{ embed(root) }}{% endfor %}</main>
{% endblock %}
"""
