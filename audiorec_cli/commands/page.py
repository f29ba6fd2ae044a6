"""audiorec page: a folder to open in a browser, with the map, the filters and the sound."""

from pathlib import Path
from typing import Annotated

import typer

from audiorec_cli import console
from audiorec_cli.commands.arranging import ColorOption, Labels, Perplexity, arranged
from audiorec_cli.commands.page_filters import page_filters
from audiorec_cli.commands.page_sound import (
    CLIP,
    CLIPS,
    SECONDS,
    ClippedSound,
    LinkedSound,
    remove_other_clips,
)
from audiorec_cli.commands.predicted import load_predicted
from audiorec_cli.errors import AudiorecError
from audiorec_cli.options import (
    BatchSize,
    CheckpointFile,
    Device,
    DeviceOption,
    MelsFile,
    PredictionsFile,
    Seed,
    Workers,
)

INDEX = "index.html"

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="Folder to make, or to make anew.")]
CopyAudio = Annotated[
    bool,
    typer.Option(
        "--copy-audio",
        help="Put clips of what is played into DIR, 30 s of MP3 in mono, some 200 kB each: then "
        "the folder can go elsewhere. Otherwise the page plays the files where they are.",
    ),
]
NoFilters = Annotated[
    bool,
    typer.Option(
        "--no-filters", help="Leave the filters out: neither checkpoint nor mels file is needed."
    ),
]
K = Annotated[int, typer.Option("-k", min=1, help="Tracks a filter, by each way.")]
Title = Annotated[
    str | None, typer.Option(help="Of the page.", show_default="how many tracks there are")
]


def page(
    folder: Folder,
    copy_audio: CopyAudio = False,
    no_filters: NoFilters = False,
    title: Title = None,
    k: K = 10,
    color: ColorOption = None,
    perplexity: Perplexity = None,
    seed: Seed = 0,
    labels: Labels = 12,
    predictions: PredictionsFile = None,
    checkpoint: CheckpointFile = None,
    mels: MelsFile = None,
    workers: Workers = None,
    batch_size: BatchSize = 32,
    device: DeviceOption = Device.auto,
):
    """Make a folder to open in a browser: a map of the tracks, what sounds alike, the filters.

    A click on the map plays the track's middle 30 s and lists what sounds like it. A click on a
    filter of the first convolution lists the test tracks that make it fire most, by the maximum
    and by the mean over time, and plays them from where it does. It is all in DIR/index.html, which
    needs no server and no network.
    """
    from audiorec_cli.output.writing import write_whole

    _require_folder(folder)
    if no_filters and (checkpoint or mels):
        raise AudiorecError("--no-filters reads neither checkpoint nor mels file: leave them out")
    path, predicted = load_predicted(predictions, mels=mels, checkpoint=checkpoint)
    filters = None
    if not no_filters:
        filters = page_filters(checkpoint, mels, k=k, batch_size=batch_size, device=device)
    placed = arranged(path, predicted, color=color, perplexity=perplexity, seed=seed, labels=labels)
    folder.mkdir(exist_ok=True)
    sound = (ClippedSound if copy_audio else LinkedSound)(predicted, folder, workers=workers)
    write_whole(_page(predicted, placed, filters, sound, title).encode(), folder / INDEX)
    remove_other_clips(folder, sound.clips)
    console.note(f"{folder / INDEX}: {console.counted(len(predicted.tracks), 'track')}")


def _require_folder(folder):
    """Refuse a folder that holds anything but a page made here, or the clips of one begun."""
    from audiorec_cli.output.writing import require_folder_of

    require_folder_of(folder, _is_ours, "a page of audiorec")


def _is_ours(folder):
    from audiorec_cli.output.page import HEAD_BYTES, is_page

    index, clips = folder / INDEX, folder / CLIPS
    if clips.is_symlink() or clips.is_file():
        return False
    if index.is_file():
        with open(index, "rb") as file:
            return is_page(file.read(HEAD_BYTES))
    others = {path.name for path in folder.iterdir()} - {CLIPS}
    begun = list(clips.iterdir()) if clips.is_dir() else []
    return not others and all(CLIP.fullmatch(path.name) for path in begun)


def _page(predicted, placed, filters, sound, title):
    """The page as HTML; the clips that it plays are written."""
    from audiorec_cli.audio.analysis import excerpt_starts
    from audiorec_cli.output.map_plots import add_ring, map_plot
    from audiorec_cli.output.page import Page, page_html

    tracks = predicted.tracks
    starts = [
        float(excerpt_starts(duration_s, seconds=SECONDS, excerpts=1)[0])
        for duration_s in tracks.duration_s
    ]
    plot = map_plot(placed.xy, tracks, placed.coloring, placed.regions)
    add_ring(plot)
    made = Page(
        title=title or f"{console.counted(len(tracks), 'track')} by how they sound",
        tracks=tracks,
        factors=predicted.predicted_factors,
        plot=plot,
        legend=placed.coloring.legend,
        sounds=[sound.of(row, start_s) for row, start_s in enumerate(starts)],
        starts=starts,
        filters=filters.cards(tracks, sound) if filters else [],
    )
    sound.finish()
    return page_html(made)
