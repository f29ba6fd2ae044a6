"""audiorec top-activations: what a filter hears, as playlists."""

import itertools
import os

import numpy as np

from audiorec_cli import console
from audiorec_cli.commands.filter_lists import Ranking, SharedTags
from audiorec_cli.commands.listing import entry_of
from audiorec_cli.commands.predict import require_same_spectrograms
from audiorec_cli.commands.top_activations_options import (
    ALL,
    By,
    ByOption,
    Filters,
    Format,
    K,
    Layers,
    OutFolder,
    PlaylistFormat,
)
from audiorec_cli.commands.unseen import unseen_excerpts
from audiorec_cli.errors import AudiorecError
from audiorec_cli.options import (
    BatchSize,
    CheckpointFile,
    Device,
    DeviceOption,
    Json,
    MelsFile,
    RelativeTo,
    found,
)

COLUMNS = (
    "layer", "by", "filter", "rank", "activation", "second", "artist", "title", "track_id", "path",
)  # fmt: skip
INDEX = ("playlist", "layer", "by", "filter", "tracks", "highest", "shared")
INDEX_NAME = "index.tsv"
FILTERS_SHOWN = 5


def top_activations(
    layers: Layers = None, filters: Filters = None, by: ByOption = By.max, k: K = 10,
    out: OutFolder = None, format_: Format = None, relative_to: RelativeTo = None,
    checkpoint: CheckpointFile = None, mels: MelsFile = None, batch_size: BatchSize = 32,
    device: DeviceOption = Device.auto, as_json: Json = False,
):  # fmt: skip
    """List the test tracks that make a filter of the network fire most, and the second they do.

    Test tracks are those that neither training nor validation saw. In a conv layer the second is
    the middle of what the filter hears; elsewhere it is the moment that, were the whole excerpt to
    sound like it, would make the unit fire most. A line a filter tells what its tracks share.
    """
    from audiorec_cli import files, workers

    workers.load_ahead(workers.LOADER_MODULES)  # while this process loads torch
    from audiorec_cli.convnet import inference, training

    _require_folder(out, relative_to, format_)
    trained = files.load_checkpoint(found("checkpoint", checkpoint))
    network = inference.network_of(trained, training.pick_device(device.value))
    wanted = _wanted(network.settings, layers, filters, by)
    path = found("mels", mels)
    library = files.load_mels(path)
    require_same_spectrograms(trained, library, path)
    excerpts = unseen_excerpts(library, trained.split)
    ranking = Ranking(network, path, library, excerpts, list(wanted), k=k, batch_size=batch_size)
    lists = [
        ranking.list_of(layer, way, number)
        for (layer, way), numbers in wanted.items()
        for number in numbers or _most_selective(layer, ranking.selectivity(layer, way))
    ]
    shared = _describe(lists, library, excerpts)
    if out is not None:
        _write(lists, shared, library, out, format_ or PlaylistFormat.m3u8, relative_to)
    rows = [_printed(listed, row, library) for listed in lists for row in listed.rows]
    console.print_table(COLUMNS, rows, as_json=as_json, section="filter", for_machines=COLUMNS[-2:])


def _require_folder(out, relative_to, format_):
    """Refuse a folder for playlists that cannot be made or written to, before work goes into it."""
    if out is None:
        if relative_to is not None or format_ is not None:
            raise AudiorecError("--relative-to and --format go with --out: name a folder too")
        return
    there = next(path for path in (out.absolute(), *out.absolute().parents) if path.exists())
    if not there.is_dir():
        raise AudiorecError(f"{out} cannot be made: {there} is a file: name another folder")
    if not os.access(there, os.W_OK):
        raise AudiorecError(f"{there}: no permission to write there: name another folder")
    index = out / INDEX_NAME
    if index.exists() and not index.read_bytes().startswith("\t".join(INDEX).encode()):
        raise AudiorecError(f"{index} is no index of playlists: name another folder")


def _wanted(settings, layers, filters, by):
    """{(layer, by): numbers of its filters, None for the most selective}."""
    from audiorec_cli.convnet.activations import OUTPUT

    n_filters = dict(
        zip(
            (*settings.layers, OUTPUT),
            (*settings.conv_channels, *settings.dense_units, settings.n_factors),
            strict=True,
        )
    )
    layers = list(n_filters) if layers and ALL in layers else layers or [settings.layers[-1]]
    wanted = {}
    for layer in dict.fromkeys(layers):
        if layer not in n_filters:
            raise AudiorecError(f"no layer {layer!r}: this network has {', '.join(n_filters)}")
        has_time = layer in settings.conv_layers or (
            settings.window_frames is not None and layer != OUTPUT
        )
        ways = ("max", "mean") if by is By.both else (by.value,)
        for way in ways if has_time else ways[:1]:
            wanted[layer, way] = filters and _numbers(filters, layer, n_filters[layer])
    return wanted


def _numbers(filters, layer, n_filters):
    ranges = [range(n_filters) if part == ALL else part for part in filters]
    numbers = list(dict.fromkeys(itertools.chain.from_iterable(ranges)))
    if max(numbers) >= n_filters:
        raise AudiorecError(f"no filter {max(numbers)}: {layer} has 0 to {n_filters - 1}")
    return numbers


def _most_selective(layer, selectivity):
    order = np.argsort(-selectivity, kind="stable")[:FILTERS_SHOWN]
    console.note(
        f"{layer} has {len(selectivity)} filters, here are the {len(order)} that pick out their "
        "tracks most sharply; --filter N shows another"
    )
    return order.tolist()


def _printed(listed, row, library):
    named = (getattr(library.tracks, column)[row.track] for column in COLUMNS[6:])
    return (*listed[:3], row.rank, row.activation, row.second, *named)


def _describe(lists, library, excerpts):
    """Say what each list shares; returns that, "" for nothing."""
    shared_tags = SharedTags(library.tracks, np.unique(library.excerpt_track[excerpts]))
    shared = [shared_tags.of(listed) for listed in lists]
    for listed, told in zip(lists, shared, strict=True):
        nothing = "its tracks share no genre, artist or folder"
        if not listed.rows:
            nothing = "it fires over no test track"
        console.note(f"{listed.layer} filter {listed.filter} by {listed.by}: {told or nothing}")
    return shared


def _write(lists, shared, library, folder, suffix, relative_to):
    """Write a playlist a list, and the index of them."""
    folder.mkdir(parents=True, exist_ok=True)
    index = []
    for listed, told in zip(lists, shared, strict=True):
        name = _write_playlist(folder, listed, library, suffix, relative_to)
        highest = f"{listed.rows[0].activation:.4g}" if listed.rows else ""
        index.append((name, *listed[:3], len(listed.rows), highest, told))
    _write_index(folder, index)
    console.note(f"{folder}: {console.counted(len(lists), 'playlist')} and {INDEX_NAME}")
    others = {path.name for path in folder.iterdir()} - {INDEX_NAME, *(row[0] for row in index)}
    if others:
        console.note(f"{console.counted(len(others), 'other file')} there before: not in the index")


def _write_playlist(folder, listed, library, suffix, relative_to):
    from audiorec_cli.output.playlists import write_playlist

    entries = [
        entry_of(row.track, library.tracks, library.audio_folder, row.second) for row in listed.rows
    ]
    name = f"{listed.name}.{suffix}"
    write_playlist(entries, folder / name, title=listed.name, relative_to=relative_to)
    return name


def _write_index(folder, rows):
    from audiorec_cli.output.writing import write_whole

    lines = ["\t".join(map(console.printable, row)) for row in (INDEX, *rows)]
    write_whole(("\n".join(lines) + "\n").encode(), folder / INDEX_NAME)
