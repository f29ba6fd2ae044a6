"""audiorec map: the predicted space in two dimensions."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from audiorec_cli import console
from audiorec_cli.commands.predicted import found_or_made, warn_if_outdated
from audiorec_cli.errors import AudiorecError
from audiorec_cli.options import PredictionsFile, Seed

PAGE_SUFFIX = ".html"


class Color(StrEnum):
    """What tracks of one colour have in common."""

    artist = "artist"
    album = "album"
    folder = "folder"


ColorOption = Annotated[
    Color | None,
    typer.Option(
        "--color",
        help="What the commonest get a colour of, and regions are called by; folder is the first "
        "part of the path.",
        show_default="folder where there are 2 to 30, artist otherwise",
    ),
]


def map_tracks(
    out: Annotated[
        Path,
        typer.Option("-o", "--out", help="Picture to write, .png or .svg, or page, .html."),
    ] = Path("map.png"),
    color: ColorOption = None,
    perplexity: Annotated[
        int | None,
        typer.Option(
            min=2,
            help="Neighbours of each track that count, cut to what there is.",
            show_default="30, fewer below 900 tracks",
        ),
    ] = None,
    seed: Seed = 0,
    labels: Annotated[int, typer.Option(min=0, help="Regions to name at most.")] = 12,
    predictions: PredictionsFile = None,
):
    """Draw the tracks on a map by t-SNE, those with similar predicted factors close together.

    The regions where tracks are densest bear the name of the artist, album or folder that is
    typical of them. A page can be moved and zoomed, and names the tracks under the pointer; it
    works without a network. Distances between far regions mean little. Without a predictions
    file it is made from the checkpoint and the mels file in this folder.
    """
    from audiorec_cli import files
    from audiorec_cli.retrieval.groups import group_names, usual_grouping
    from audiorec_cli.retrieval.regions import find_regions

    _require_map(out)
    path = predictions or found_or_made()
    predicted = files.load_predictions(path)
    warn_if_outdated(path, predicted)
    if not len(predicted.tracks):
        raise AudiorecError(f"{path} holds no tracks: make it again with 'audiorec predict'")
    by = color.value if color else usual_grouping(predicted.tracks)
    groups = group_names(predicted.tracks, by)
    xy = _projected(predicted.predicted_factors, perplexity, seed)
    _write(xy, predicted.tracks, groups, find_regions(xy, groups, labels), out)
    console.note(f"{out}: {console.counted(len(xy), 'track')}, coloured by {by}")


def _require_map(out):
    """Refuse a place or a format that no map can be written to."""
    suffix = out.suffix.lower()
    if suffix == PAGE_SUFFIX:
        from audiorec_cli.output.writing import require_file

        return require_file(out)
    from audiorec_cli.output.pictures import SUFFIXES, require_picture

    if suffix not in SUFFIXES:
        raise AudiorecError(f"{out}: no known format of a map: end its name in .png, .svg or .html")
    return require_picture(out)


def _projected(factors, perplexity, seed):
    from audiorec_cli.retrieval import projection

    if len(factors) > projection.LARGE and not projection.has_opentsne():
        console.note(
            f"a map of {len(factors)} tracks takes long: pip install 'audiorec[map]' makes it "
            "quicker"
        )
    return projection.project(factors, perplexity=perplexity, seed=seed)


def _write(xy, tracks, groups, regions, out):
    from audiorec_cli.output.map_legend import color_groups

    coloring = color_groups(groups)
    if out.suffix.lower() == PAGE_SUFFIX:
        from audiorec_cli.output.map_plots import map_page, map_plot
        from audiorec_cli.output.writing import write_whole

        plot = map_plot(xy, tracks, coloring, regions)
        title = f"{console.counted(len(tracks), 'track')} by how they sound"
        write_whole(map_page(plot, title, coloring.legend).encode(), out)
    else:
        from audiorec_cli.output.map_pictures import save_map

        save_map(xy, coloring, regions, out)
