"""audiorec top-activations: what a filter hears, as playlists."""

import functools
import itertools
import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import typer

from audiorec_cli import console
from audiorec_cli.commands.predict import require_same_spectrograms
from audiorec_cli.errors import AudiorecError
from audiorec_cli.options import (
    BatchSize,
    CheckpointFile,
    Device,
    DeviceOption,
    Json,
    MelsFile,
    found,
)

COLUMNS = ("filter", "rank", "activation", "second", "artist", "title", "track_id", "path")
FILTERS_SHOWN = 5


class By(StrEnum):
    """How a filter's activation over time becomes one number."""

    max = "max"
    mean = "mean"


Layer = Annotated[
    str | None,
    typer.Option(help="conv1, conv2 … or dense1, dense2 …", show_default="the last hidden one"),
]
Filters = Annotated[
    list[int] | None,
    typer.Option(
        "--filter", min=0, help="From 0; may be repeated.", show_default="the most selective"
    ),
]
ByOption = Annotated[By, typer.Option(help="Rank by the maximum or the mean over time.")]
K = Annotated[int, typer.Option("-k", min=1, help="Tracks a filter.")]
OutFolder = Annotated[
    Path | None, typer.Option("-o", "--out", help="Folder to write a .m3u8 playlist a filter to.")
]


def top_activations(
    layer: Layer = None,
    filters: Filters = None,
    by: ByOption = By.max,
    k: K = 10,
    out: OutFolder = None,
    checkpoint: CheckpointFile = None,
    mels: MelsFile = None,
    batch_size: BatchSize = 32,
    device: DeviceOption = Device.auto,
    as_json: Json = False,
):
    """List the test tracks that make a filter of the network fire most, and the second they do.

    Test tracks are those that neither training nor validation saw. In a conv layer the second is
    the middle of what the filter hears; in a dense layer it is the moment that, were the whole
    excerpt to sound like it, would make the unit fire most.
    """
    from audiorec_cli import files
    from audiorec_cli.convnet import inference, training

    _make_folder(out)
    torch_device = training.pick_device(device.value)
    trained = files.load_checkpoint(found("checkpoint", checkpoint))
    network = inference.network_of(trained, torch_device)
    layer = _checked_layer(network.settings, layer, filters)
    path = found("mels", mels)
    library = files.load_mels(path)
    require_same_spectrograms(trained, library, path)
    excerpts = _test_excerpts(library, trained.split)
    # a track is listed once, so its other excerpts must not crowd others out
    k_excerpts = k * int(np.bincount(library.excerpt_track).max())
    options = {"layer": layer, "by": by.value, "k": k_excerpts, "batch_size": batch_size}
    top = _rank(network, path, excerpts, **options)
    lists = _Lists(top, library, excerpts, network.settings, layer, k)
    rows = [row for i in filters or _most_selective(top, layer) for row in lists.rows(i)]
    if out is not None:
        _write_playlists(out, rows, library, layer)
    printed = [_printed(row, library) for row in rows]
    console.print_table(COLUMNS, printed, as_json=as_json, section="filter")


def _make_folder(out):
    if out is None:
        return
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise AudiorecError(
            f"{out} cannot be made: {error.strerror}: name another folder for the playlists"
        ) from error


def _checked_layer(settings, layer, filters):
    layer = layer or settings.layers[-1]
    if layer not in settings.layers:
        raise AudiorecError(f"no layer {layer!r}: this network has {', '.join(settings.layers)}")
    sizes = (*settings.conv_channels, *settings.dense_units)
    n_filters = sizes[settings.layers.index(layer)]
    if filters and max(filters) >= n_filters:
        raise AudiorecError(f"no filter {max(filters)}: {layer} has 0 to {n_filters - 1}")
    return layer


def _test_excerpts(library, split):
    """Rows of the excerpts of every track that neither training nor validation saw."""
    seen = {*split["train"], *split["validation"]}
    is_test = np.array([track_id not in seen for track_id in library.tracks.track_id], dtype=bool)
    excerpts = np.flatnonzero(is_test[library.excerpt_track])
    if not len(excerpts):
        raise AudiorecError(
            "the network was trained on every track of this mels file: name another with --mels"
        )
    console.note(f"{is_test.sum()} test tracks of {len(library.tracks)}")
    return excerpts


def _rank(network, path, excerpts, **options):
    from audiorec_cli import files
    from audiorec_cli.convnet.activations import top_excerpts

    with console.progress("top-activations", total=len(excerpts), unit="excerpts") as advance:
        open_reader = functools.partial(files.MelsReader, path)
        return top_excerpts(network, open_reader, excerpts, on_batch=advance, **options)


def _most_selective(top, layer):
    order = np.argsort(-top.selectivity, kind="stable")[:FILTERS_SHOWN]
    console.note(
        f"{layer} has {len(top.selectivity)} filters, here are the {len(order)} that pick out "
        "their tracks most sharply; --filter N shows another"
    )
    return order.tolist()


class Row(NamedTuple):
    """One line of a filter's list; track is a row of the library, second of the track."""

    filter: int
    rank: int
    activation: float
    second: float
    track: int


class _Lists(NamedTuple):
    """TopExcerpts with what is needed to say which tracks and seconds they are."""

    top: Any
    library: Any
    excerpts: np.ndarray
    network: Any
    layer: str
    k: int

    def rows(self, filter_):
        """The Rows of one filter, a track once, the highest activation first."""
        rows, listed = [], set()
        for index, value, frame in zip(
            self.top.excerpts[filter_],
            self.top.values[filter_],
            self.top.frames[filter_],
            strict=True,
        ):
            excerpt = self.excerpts[index]
            track = int(self.library.excerpt_track[excerpt])
            if track not in listed and len(rows) < self.k:
                listed.add(track)
                second = self._second(excerpt, int(frame))
                rows.append(Row(filter_, len(rows) + 1, float(value), second, track))
        return rows

    def _second(self, excerpt, frame):
        from audiorec_cli.convnet.activations import second_of_frame

        try:
            grid = {n: self.library.params[n] for n in ("hop_length", "n_fft", "sample_rate")}
        except KeyError as error:
            raise AudiorecError(
                f"the mels file does not say its {error.args[0]}: make it with 'audiorec mels'"
            ) from error
        within = second_of_frame(self.network, self.layer, frame, **grid)
        return float(self.library.start_s[excerpt] + within)


def _printed(row, library):
    named = (getattr(library.tracks, column)[row.track] for column in COLUMNS[4:])
    return (row.filter, row.rank, row.activation, row.second, *named)


def _write_playlists(folder, rows, library, layer):
    from audiorec_cli.output.playlists import Entry, m3u8, write_playlist

    tracks = library.tracks
    for filter_, listed in itertools.groupby(rows, key=lambda row: row.filter):
        entries = [
            Entry(
                os.path.join(library.audio_folder, tracks.path[row.track]),
                tracks.artist[row.track],
                tracks.title[row.track],
                float(tracks.duration_s[row.track]),
                start_s=row.second,
            )
            for row in listed
        ]
        name = f"{layer}-filter-{filter_}"
        write_playlist(m3u8(entries, title=name), folder / f"{name}.m3u8")
    console.note(f"{folder}: a playlist for each filter")
