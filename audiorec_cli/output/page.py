"""The page that shows and plays what a network has learnt: one HTML file, all in it."""

import base64
import html
import json
import re
from dataclasses import dataclass
from importlib import resources
from string import Template
from typing import NamedTuple

import numpy as np
from bokeh.embed import json_item
from bokeh.resources import Resources

from audiorec_cli.output.writing import one_line

GENERATOR = b'<meta name="generator" content="audiorec page">'
HEAD_BYTES = 4096  # of a page, within which its generator is named
STEPS = 32767  # of a factor from 0 to 1: scores are right to four digits


class Sound(NamedTuple):
    """What to play: a URL, relative to the page or of a file, and from where to where in it [s]."""

    url: str
    from_s: float
    until_s: float | None


class FilterRow(NamedTuple):
    """A track that makes a filter fire: its row on the page, the second of the track it does."""

    row: int
    second: float
    activation: float
    sound: Sound | None


@dataclass(frozen=True)
class FilterCard:
    """A filter, its picture and its lists.

    picture, heard : PNG of its weights, and of what makes it fire most
    lists : (by, what they share in words, FilterRows), by "max" and "mean"
    """

    number: int
    picture: bytes
    heard: bytes
    lists: list[tuple[str, str, list[FilterRow]]]


@dataclass(frozen=True)
class Page:
    """What a page shows.

    tracks : Tracks (n rows); factors : (n, n_factors) float32 of unit norm
    plot : Bokeh figure of the n tracks, as map_plot makes it; legend : (name, colour, count)
    sounds : n Sounds, None where there is no file; starts : n seconds of the track they begin at
    """

    title: str
    tracks: object
    factors: np.ndarray
    plot: object
    legend: list[tuple[str, str, int]]
    sounds: list[Sound | None]
    starts: list[float]
    filters: list[FilterCard]


def page_html(page):
    """A Page as one HTML text. All that tags say is data in it, and never becomes markup."""
    files = resources.files("audiorec_cli.output") / "page_files"
    read = {name: (files / f"page.{name}").read_text("utf-8") for name in ("html", "css", "js")}
    bokeh = Resources(mode="inline", components=["bokeh", "bokeh-gl"]).js_raw
    return Template(read["html"]).substitute(
        title=html.escape(one_line(page.title)),
        style=read["css"],
        data=_json(_data(page)),
        bokeh="\n".join(bokeh),
        script=read["js"],
    )


def is_page(start):
    """Whether a file that begins with these bytes is a page made here."""
    return GENERATOR in start[:HEAD_BYTES]


def _json(value):
    """JSON that may stand in a script element: no tag can begin or end in it."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return re.sub("[<>&\u2028\u2029]", lambda char: f"\\u{ord(char[0]):04x}", text)


def _data(page):
    tracks, rows = page.tracks, range(len(page.tracks))
    steps = np.rint(np.clip(page.factors, -1, 1) * STEPS).astype("<i2")
    return {
        "tracks": {
            "artist": [one_line(artist) for artist in tracks.artist],
            "title": [one_line(tracks.title[row] or tracks.track_id[row]) for row in rows],
            "sound": page.sounds,
            "start": [round(start_s, 1) for start_s in page.starts],
        },
        "factors": base64.b64encode(steps.tobytes()).decode(),
        "map": json_item(page.plot),
        "legend": page.legend,
        "filters": [_card(card) for card in page.filters],
    }


def _card(card):
    return {
        "number": card.number,
        "picture": _data_uri(card.picture),
        "heard": _data_uri(card.heard),
        "lists": [
            {"by": by, "shared": one_line(shared), "rows": [row._asdict() for row in rows]}
            for by, shared, rows in card.lists
        ],
    }


def _data_uri(png):
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
