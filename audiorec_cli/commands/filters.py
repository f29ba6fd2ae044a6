"""audiorec filters: a picture of what the filters of the first convolution look like."""

import functools
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import typer

from audiorec_cli import console
from audiorec_cli.commands.filter_lists import Ranking
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
Show = enum_of("Show", ("weights", "heard"))
COLUMNS = ("filter", "firing")
QUANTITIES = {"weights": "weight", "heard": "deviations"}
K = 10  # tracks that tell what a filter has heard

Filters = Annotated[
    list[int] | None,
    typer.Option(
        "--filter",
        min=0,
        help="Enlarge this filter, from 0; may be repeated.",
        show_default="all of them, small",
    ),
]
ShowOption = Annotated[
    Show,
    typer.Option(
        help="weights, or what a filter has heard when it fires most: the mean of it over the test "
        "tracks that come first, which needs the mels file."
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
    show: ShowOption = Show.weights,
    sort: SortOption = Sort.number,
    checkpoint: CheckpointFile = None,
    mels: MelsFile = None,
    batch_size: BatchSize = 32,
    device: DeviceOption = Device.auto,
):
    """Draw the filters of the first convolution: red is negative, blue positive, white zero.

    Time runs across and frequency down, the lowest at the top. Of a maxout filter both pieces are
    drawn side by side. With batch normalization the weights are those that it comes to. Test
    tracks are those that neither training nor validation saw; with --sort firing the share of
    their frames in which each filter fires is printed.
    """
    from audiorec_cli import files
    from audiorec_cli.convnet import filters as of_network
    from audiorec_cli.convnet import inference, training
    from audiorec_cli.output import filter_pictures, pictures

    pictures.require_picture(out)
    trained = files.load_checkpoint(found("checkpoint", checkpoint))
    network = inference.network_of(trained, training.pick_device(device.value))
    numbers = _numbers(chosen, network.settings.conv_channels[0])
    tests = _tests(trained, mels, batch_size, is_needed=Show.heard == show or Sort.firing == sort)
    drawn = _heard(network, tests) if show == Show.heard else of_network.first_filters(network)
    shares = None
    if sort == Sort.firing:
        shares = _firing_shares(network, tests)
        numbers = numbers[np.argsort(-shares[numbers], kind="stable")]
    elif sort == Sort.similarity:
        numbers = numbers[of_network.by_similarity(drawn[numbers])]
    draw = filter_pictures.enlarged if chosen else filter_pictures.side_by_side
    figure = draw(drawn[numbers], numbers, _grid(trained.settings), QUANTITIES[show.value])
    pictures.save_picture(figure, out)
    _tell(out, numbers, shares)


def _tell(out, numbers, shares):
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


class _Tests(NamedTuple):
    """The excerpts of the test tracks of a mels file, and how many to look at at a time."""

    path: Path
    library: Any
    excerpts: np.ndarray
    batch_size: int


def _tests(trained, mels, batch_size, *, is_needed):
    from audiorec_cli import files

    if not is_needed:
        if mels is not None:
            raise AudiorecError("--mels goes with --sort firing or --show heard: add one")
        return None
    path = found("mels", mels)
    library = files.load_mels(path)
    require_same_spectrograms(trained, library, path)
    return _Tests(path, library, unseen_excerpts(library, trained.split), batch_size)


def _heard(network, tests):
    ranking = Ranking(
        network, tests.path, tests.library, tests.excerpts, [(LAYER, "max")],
        k=K, batch_size=tests.batch_size,
    )  # fmt: skip
    return ranking.heard(network)


def _firing_shares(network, tests):
    from audiorec_cli import files
    from audiorec_cli.convnet.filters import firing_shares

    open_reader = functools.partial(files.MelsReader, tests.path)
    with console.progress("filters", total=len(tests.excerpts), unit="excerpts") as advance:
        return firing_shares(
            network,
            open_reader,
            tests.excerpts,
            batch_size=tests.batch_size,
            on_batch=advance,
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
