"""The filters of a page: their pictures, and the tracks that make them fire most."""

from typing import Any, NamedTuple

import numpy as np

from audiorec_cli import console
from audiorec_cli.commands.filter_lists import Ranking, SharedTags
from audiorec_cli.commands.listing import rows_of
from audiorec_cli.commands.predict import require_same_spectrograms
from audiorec_cli.commands.unseen import unseen_excerpts
from audiorec_cli.errors import AudiorecError
from audiorec_cli.options import found

LAYER, WAYS = "conv1", ("max", "mean")


class PageFilters(NamedTuple):
    """The filters of a network's first convolution, heard on the test tracks of a mels file.

    library : Mels; weights, heard : as of first_filters and heard of convnet.filters
    ranking : Ranking; shared : SharedTags
    """

    library: Any
    weights: np.ndarray
    heard: np.ndarray
    ranking: Any
    shared: Any

    def cards(self, tracks, sound):
        """The FilterCard of each filter, on a page of these Tracks; sound : what it plays.

        Raises AudiorecError where the tracks are none of the library's.
        """
        from audiorec_cli.output.filter_pictures import colour_scale, strip_png
        from audiorec_cli.output.page import FilterCard

        rows = self._joined(tracks)
        scale, heard_scale = colour_scale(self.weights), colour_scale(self.heard)
        cards = []
        for number, (weights, heard) in enumerate(zip(self.weights, self.heard, strict=True)):
            lists = [self.ranking.list_of(LAYER, by, number) for by in WAYS]
            told = [
                (listed.by, self.shared.of(listed), self._rows(listed, rows, sound))
                for listed in lists
            ]
            pictures = strip_png(weights, scale), strip_png(heard, heard_scale)
            cards.append(FilterCard(number, *pictures, told))
        return cards

    def _joined(self, tracks):
        """The row on the page of each row of the library that is there."""
        rows, n_tracks = rows_of(self.library.tracks, tracks), len(self.library.tracks)
        if not rows:
            raise AudiorecError(
                "the predictions are of other tracks than the mels file: make them again with "
                "'audiorec predict', or leave the filters out with --no-filters"
            )
        if len(rows) < n_tracks:
            console.note(
                f"{n_tracks - len(rows)} of {n_tracks} tracks of the mels file are not in the "
                "predictions, or were others then: they are in no filter's list"
            )
        return rows

    def _rows(self, filter_list, rows, sound):
        """The FilterRows of a FilterList, of the tracks that are on the page."""
        from audiorec_cli.output.page import FilterRow

        made = []
        for listed in filter_list.rows:
            row = rows.get(listed.track)
            if row is not None:
                start_s = float(self.library.start_s[listed.excerpt])
                played = sound.of(row, start_s, listed.second)
                made.append(FilterRow(row, listed.second, listed.activation, played))
        return made


def page_filters(checkpoint, mels, *, k, batch_size, device):
    """The PageFilters of a checkpoint and a mels file, found where they are not named.

    k : tracks a filter and way
    """
    from audiorec_cli import files
    from audiorec_cli.convnet import inference, training
    from audiorec_cli.convnet.filters import first_filters

    trained = files.load_checkpoint(found("checkpoint", checkpoint))
    path = found("mels", mels)
    library = files.load_mels(path)
    require_same_spectrograms(trained, library, path)
    network = inference.network_of(trained, training.pick_device(device.value))
    remedy = "leave the filters out with --no-filters"
    excerpts = unseen_excerpts(library, trained.split, remedy=remedy)
    lists = [(LAYER, by) for by in WAYS]
    ranking = Ranking(network, path, library, excerpts, lists, k=k, batch_size=batch_size)
    shared = SharedTags(library.tracks, np.unique(library.excerpt_track[excerpts]))
    weights, heard = first_filters(network), ranking.heard(network)
    return PageFilters(library, weights, heard, ranking, shared)
