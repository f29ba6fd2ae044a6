"""audiorec filters: a picture of what the filters of the first convolution look like."""

import functools
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from audiorec_cli import console
from audiorec_cli.commands.predict import require_same_spectrograms
from audiorec_cli.commands.unseen import unseen_excerpts
from audiorec_cli.convnet.settings import HIGHEST_RATE
from audiorec_cli.errors import AudiorecError
from audiorec_cli.options import (
    BatchSize,
    CheckpointFile,
    Device,
    DeviceOption,
    MelsFile,
    enum_of,
    found,
)

LAYER = "conv1"
Sort = enum_of("Sort", ("number", "similarity", "firing"))
COLUMNS = ("filter", "firing")

Filters = Annotated[
    list[int] | None,
    typer.Option(
        "--filter",
        min=0,
        help="Enlarge this filter, from 0; may be repeated.",
        show_default="all of them, small",
    ),
]
SortOption = Annotated[
    Sort,
    typer.Option(
        help="Order of the filters; similarity puts side by side what looks alike, and firing, "
        "which needs the mels file, puts first what fires most often on the test tracks."
    ),
]
Out = Annotated[Path, typer.Option("-o", "--out", help="Picture to write, .png or .svg.")]


def filters(
    out: Out = Path("filters.png"),
    chosen: Filters = None,
    sort: SortOption = Sort.number,
    checkpoint: CheckpointFile = None,
    mels: MelsFile = None,
    batch_size: BatchSize = 32,
    device: DeviceOption = Device.auto,
):
    """Draw the filters of the first convolution: red is negative, blue positive, white zero.

    Time runs across and frequency down, the lowest at the top. Of a maxout filter both pieces are
    drawn side by side. With batch normalization the weights are those that it comes to. With
    --sort firing the share of frames in which each filter fires is printed, over the tracks that
    neither training nor validation saw.
    """
    from audiorec_cli import files
    from audiorec_cli.convnet import filters as of_network
    from audiorec_cli.convnet import inference, training
    from audiorec_cli.output import filter_pictures, pictures

    pictures.require_picture(out)
    torch_device = training.pick_device(device.value)
    trained = files.load_checkpoint(found("checkpoint", checkpoint))
    network = inference.network_of(trained, torch_device)
    weights = of_network.first_filters(network)
    numbers = _numbers(chosen, len(weights))
    if mels is not None and sort != Sort.firing:
        raise AudiorecError("--mels goes with --sort firing: add it")
    shares = None
    if sort == Sort.firing:
        shares = _firing_shares(network, trained, found("mels", mels), batch_size)
        numbers = numbers[np.argsort(-shares[numbers], kind="stable")]
    elif sort == Sort.similarity:
        numbers = numbers[of_network.by_similarity(weights[numbers])]
    draw = filter_pictures.enlarged if chosen else filter_pictures.side_by_side
    figure = draw(weights[numbers], numbers, _grid(trained.settings))
    pictures.save_picture(figure, out)
    console.note(f"{out}: {console.counted(len(numbers), 'filter')} of {LAYER}")
    if shares is not None:
        console.print_table(COLUMNS, [(int(i), float(shares[i])) for i in numbers])


def _numbers(chosen, n_filters):
    """The filters to draw, (n,) int in ascending order."""
    if not chosen:
        return np.arange(n_filters)
    if max(chosen) >= n_filters:
        raise AudiorecError(f"no filter {max(chosen)}: {LAYER} has 0 to {n_filters - 1}")
    return np.unique(chosen)


def _firing_shares(network, trained, path, batch_size):
    from audiorec_cli import files
    from audiorec_cli.convnet.filters import firing_shares

    library = files.load_mels(path)
    require_same_spectrograms(trained, library, path)
    excerpts = unseen_excerpts(library, trained.split)
    open_reader = functools.partial(files.MelsReader, path)
    with console.progress("filters", total=len(excerpts), unit="excerpts") as advance:
        return firing_shares(
            network, open_reader, excerpts, batch_size=batch_size, on_batch=advance
        )


def _grid(settings):
    """The Grid of the spectrograms that the network was trained on, None where it does not say."""
    from audiorec_cli.output.filter_pictures import Grid

    spectrogram = settings.get("spectrogram")
    if isinstance(spectrogram, dict):
        grid = Grid(*(spectrogram.get(name) for name in Grid._fields))
        if all(type(value) is int and 0 < value <= HIGHEST_RATE for value in grid):
            return grid
    console.note("the checkpoint does not say its sample rate and hop length: no Hz and no ms")
    return None
