"""The filters of a page: their pictures, and the tracks that make them fire most."""

from typing import Any, NamedTuple

import numpy as np

from audiorec_cli.commands.filter_lists import Ranking, SharedTags
from audiorec_cli.commands.predict import require_same_spectrograms
from audiorec_cli.commands.unseen import unseen_excerpts
from audiorec_cli.options import found

LAYER, WAYS = "conv1", ("max", "mean")


class PageFilters(NamedTuple):
    """The filters of a network's first convolution, heard on the test tracks of a mels file.

    library : Mels; weights : as of first_filters; ranking : Ranking; shared : SharedTags
    """

    library: Any
    weights: np.ndarray
    ranking: Any
    shared: Any

    def cards(self, tracks, sound):
        """The FilterCard of each filter, on a page of these Tracks; sound : what it plays."""
        from audiorec_cli.output.filter_pictures import colour_scale, strip_png
        from audiorec_cli.output.page import FilterCard

        scale = colour_scale(self.weights)
        cards = []
        for number, weights in enumerate(self.weights):
            lists = [self.ranking.list_of(LAYER, by, number) for by in WAYS]
            told = [
                (each.by, self.shared.of(each), self._rows(each, tracks, sound)) for each in lists
            ]
            cards.append(FilterCard(number, strip_png(weights, scale), told))
        return cards

    def _rows(self, filter_list, tracks, sound):
        """The FilterRows of a FilterList, but for tracks that the page has not."""
        from audiorec_cli.output.page import FilterRow

        rows = []
        for listed in filter_list.rows:
            track_id = self.library.tracks.track_id[listed.track]
            row = tracks.row_of_track_id.get(track_id)
            if row is not None:
                start_s = float(self.library.start_s[listed.excerpt])
                played = sound.of(row, start_s, listed.second)
                rows.append(FilterRow(row, listed.second, listed.activation, played))
        return rows


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
    excerpts = unseen_excerpts(library, trained.split)
    lists = [(LAYER, by) for by in WAYS]
    ranking = Ranking(network, path, library, excerpts, lists, k=k, batch_size=batch_size)
    shared = SharedTags(library.tracks, np.unique(library.excerpt_track[excerpts]))
    return PageFilters(library, first_filters(network), ranking, shared)
