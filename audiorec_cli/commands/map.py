"""audiorec map: the predicted space in two dimensions."""

from pathlib import Path
from typing import Annotated

import typer

from audiorec_cli import console
from audiorec_cli.commands.arranging import ColorOption, Labels, Perplexity, arranged
from audiorec_cli.commands.predicted import load_predicted
from audiorec_cli.errors import AudiorecError
from audiorec_cli.options import PredictionsFile, Seed

PAGE_SUFFIX = ".html"

Out = Annotated[
    Path, typer.Option("-o", "--out", help="Picture to write, .png or .svg, or page, .html.")
]


def map_tracks(
    out: Out = Path("map.png"),
    color: ColorOption = None,
    perplexity: Perplexity = None,
    seed: Seed = 0,
    labels: Labels = 12,
    predictions: PredictionsFile = None,
):
    """Draw the tracks on a map by t-SNE, those with similar predicted factors close together.

    The regions where tracks are densest bear the name of the artist, album or folder that is
    typical of them. A page can be moved and zoomed, and names the tracks under the pointer; it
    works without a network, and 'audiorec page' makes one that plays them. Distances between far
    regions mean little. Without a predictions file it is made from the checkpoint and the mels
    file in this folder.
    """
    _require_map(out)
    path, predicted = load_predicted(predictions)
    made = arranged(path, predicted, color=color, perplexity=perplexity, seed=seed, labels=labels)
    _write(made, predicted.tracks, out)
    n_tracks = console.counted(len(predicted.tracks), "track")
    console.note(f"{out}: {n_tracks}, coloured by {made.by}")


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


def _write(made, tracks, out):
    if out.suffix.lower() == PAGE_SUFFIX:
        from audiorec_cli.output.map_plots import map_page, map_plot
        from audiorec_cli.output.writing import write_whole

        plot = map_plot(made.xy, tracks, made.coloring, made.regions)
        title = f"{console.counted(len(tracks), 'track')} by how they sound"
        write_whole(map_page(plot, title, made.coloring.legend).encode(), out)
    else:
        from audiorec_cli.output.map_pictures import save_map

        save_map(made.xy, made.coloring, made.regions, out)
