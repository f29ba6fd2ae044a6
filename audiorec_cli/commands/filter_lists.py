"""The tracks that make filters fire most, and what they share."""

import functools
from typing import NamedTuple

import numpy as np

from audiorec_cli import console

TAGS = ("genre", "artist", "folder")


class Row(NamedTuple):
    """One line of a filter's list.

    second : of the track, in which the filter fires; track : row of the library; excerpt : row of
    the mels file
    """

    rank: int
    activation: float
    second: float
    track: int
    excerpt: int


class FilterList(NamedTuple):
    """The tracks that make a filter fire most: a list of Rows, the highest activation first."""

    layer: str
    by: str
    filter: int
    rows: list[Row]

    @property
    def name(self):
        """What its playlist is called."""
        return f"{self.layer}-filter-{self.filter}-{self.by}"


class Ranking:
    """The excerpts of a mels file ranked for every filter of some layers, by one pass over them.

    network : Network; path, library : of the mels file; excerpts : rows to look at
    lists : (layer, by) pairs, as in convnet.activations; k : tracks a filter
    """

    def __init__(self, network, path, library, excerpts, lists, *, k, batch_size):
        from audiorec_cli import files

        self._settings, self._library = network.settings, library
        self._excerpts, self._k = excerpts, k
        self._open_reader = functools.partial(files.MelsReader, path)
        self._top = self._rank(network, lists, batch_size)

    def _rank(self, network, lists, batch_size):
        from audiorec_cli.convnet.activations import top_excerpts

        n_excerpts = len(self._excerpts)
        with console.progress("filters", total=n_excerpts, unit="excerpts") as advance:
            return top_excerpts(
                network,
                self._open_reader,
                self._excerpts,
                lists=lists,
                # a track is listed once, so its other excerpts must not crowd others out
                k=self._k * int(self._library.n_excerpts.max()),
                batch_size=batch_size,
                n_sound=self._frames_of_sound(),
                on_batch=advance,
            )

    def _frames_of_sound(self):
        """(n_excerpts,) frames that see nothing of the silence behind a short track."""
        params = self._library.params
        n_samples = self._library.sound_s[self._excerpts] * params["sample_rate"]
        return 1 + np.floor((n_samples - params["n_fft"]) / params["hop_length"] + 1e-6)

    def selectivity(self, layer, by):
        """(n_filters,) how sharply each filter picks out its tracks, as in TopExcerpts."""
        return self._top[layer, by].selectivity

    def heard(self, network):
        """What makes the first convolution's filters fire most, as in convnet.filters."""
        from audiorec_cli.convnet import filters

        top = self._top[self._settings.conv_layers[0], "max"]
        return filters.heard(network, self._open_reader, self._excerpts, top.first(self._k))

    def list_of(self, layer, by, number):
        """The FilterList of one filter, a track once; tracks that it is silent over have no place.

        An activation of exactly 0 is that of a rectified unit that did not fire.
        """
        top, rows, listed = self._top[layer, by], [], set()
        columns = (top.excerpts, top.values, top.frames)
        for index, value, frame in zip(*(column[number] for column in columns), strict=True):
            excerpt = int(self._excerpts[index])
            track = int(self._library.excerpt_track[excerpt])
            if value != 0 and track not in listed and len(rows) < self._k:
                listed.add(track)
                second = self._second(layer, excerpt, int(frame))
                rows.append(Row(len(rows) + 1, float(value), second, track, excerpt))
        return FilterList(layer, by, number, rows)

    def _second(self, layer, excerpt, frame):
        """Where in the track the frame lies: seconds from the beginning of the track."""
        from audiorec_cli.convnet.activations import second_of_frame

        params = self._library.params
        grid = {name: params[name] for name in ("hop_length", "n_fft", "sample_rate")}
        within = second_of_frame(self._settings, layer, frame, **grid)
        return float(self._library.start_s[excerpt] + within)


class SharedTags:
    """Tells what lists of some tracks share.

    tracks : Tracks; rows : (n,) of those that lists are drawn from
    """

    def __init__(self, tracks, rows):
        from audiorec_cli.retrieval.groups import group_names
        from audiorec_cli.retrieval.sharing import Sharing

        names = {kind: group_names(tracks, kind) for kind in TAGS}
        tags = {kind: [names[kind][row] for row in rows] for kind in TAGS}
        if any(_are_the_same(tags["folder"], tags[kind]) for kind in TAGS[:-1]):
            del tags["folder"]  # a folder an artist, or a genre, tells nothing more
        self._sharing = Sharing(tags)
        self._place_of = {row: place for place, row in enumerate(np.asarray(rows).tolist())}

    def of(self, filter_list):
        """What the tracks of a FilterList share, in words; "" for nothing."""
        places = [self._place_of[row.track] for row in filter_list.rows]
        return "; ".join(map(str, self._sharing.of(places)))


def _are_the_same(one, other):
    """Whether two lists of tags tell the same tracks apart, whatever the tags are called."""
    return len(set(zip(one, other, strict=True))) == len(set(one)) == len(set(other))
