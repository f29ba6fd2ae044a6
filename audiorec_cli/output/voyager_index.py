"""Predicted factors as an index of Voyager, Spotify's library for nearest neighbours."""

import json

import numpy as np

from audiorec_cli.output.tables import as_utf8
from audiorec_cli.output.writing import write_together

NEIGHBOURS = 24  # of a track that it is tied to; with Voyager's own 12 more of them are missed
TRACKS_AT_A_TIME = 2000


def names_path(out):
    """Where the names of the tracks lie: tracks.names.json beside tracks.voy."""
    return out.with_name(out.name.removesuffix(".voy") + ".names.json")


def built_index(factors, *, on_batch=lambda n: None):
    """A Voyager index by cosine; the id of a track is its row.

    factors : (n, n_factors) float32 of unit norm; on_batch : called with how many were added
    Distances are 1 - cosine.
    """
    from voyager import Index, Space

    n, n_factors = factors.shape
    index = Index(Space.Cosine, n_factors, M=NEIGHBOURS, max_elements=n)
    for first in range(0, n, TRACKS_AT_A_TIME):
        rows = np.arange(first, min(first + TRACKS_AT_A_TIME, n))
        index.add_items(factors[rows], ids=rows.tolist())
        on_batch(len(rows))
    return index


def write_index(index, track_ids, out):
    """Write a Voyager index, and beside it the track_id of each of its ids, in their order.

    The names are a JSON list of texts, what Voyager's StringIndex for Java keeps beside an index;
    it takes texts without quotes and back slashes alone.
    """
    names = json.dumps([as_utf8(track_id) for track_id in track_ids], ensure_ascii=False)
    write_together({names_path(out): names.encode(), out: index.as_bytes()})
