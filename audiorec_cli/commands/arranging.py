"""The map that pictures and pages show: where tracks lie, their colours, the names of regions."""

from enum import StrEnum
from typing import Annotated, Any, NamedTuple

import numpy as np
import typer

from audiorec_cli import console
from audiorec_cli.errors import AudiorecError


class Color(StrEnum):
    """What tracks of one colour have in common."""

    artist = "artist"
    album = "album"
    genre = "genre"
    folder = "folder"


ColorOption = Annotated[
    Color | None,
    typer.Option(
        "--color",
        help="What colours and the names of regions stand for; folder is the first part of the "
        "path.",
        show_default="folder where there are 2 to 30, artist otherwise",
    ),
]
Perplexity = Annotated[
    int | None,
    typer.Option(
        "--perplexity",
        min=2,
        help="Neighbours of each track that count, cut to what there is.",
        show_default="30, fewer below 900 tracks",
    ),
]
Labels = Annotated[int, typer.Option("--labels", min=0, help="Regions to name at most.")]


class Arranged(NamedTuple):
    """A map of n tracks.

    xy : (n, 2) float32 between -1 and 1; coloring : Coloring; regions : Regions; by : what the
    colours and the names stand for
    """

    xy: np.ndarray
    coloring: Any
    regions: list
    by: str


def arranged(path, predicted, *, color, perplexity, seed, labels):
    """The Arranged tracks of the Predictions that were loaded from `path`."""
    from audiorec_cli.output.map_legend import color_groups
    from audiorec_cli.retrieval.groups import group_names, usual_grouping
    from audiorec_cli.retrieval.regions import find_regions

    if not len(predicted.tracks):
        raise AudiorecError(f"{path} holds no tracks: make it again with 'audiorec predict'")
    by = color.value if color else usual_grouping(predicted.tracks)
    groups = group_names(predicted.tracks, by)
    if not any(groups):
        console.note(f"no track has a known {by}: the map is grey")
    xy = _projected(predicted.predicted_factors, perplexity, seed)
    return Arranged(xy, color_groups(groups), find_regions(xy, groups, labels), by)


def _projected(factors, perplexity, seed):
    from audiorec_cli.retrieval import projection

    if len(factors) > projection.LARGE and not projection.has_opentsne():
        console.note(
            f"a map of {len(factors)} tracks takes long: pip install 'audiorec[map]' makes it "
            "quicker"
        )
    return projection.project(factors, perplexity=perplexity, seed=seed)
