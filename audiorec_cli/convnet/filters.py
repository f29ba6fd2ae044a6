"""The filters of the first convolution: their weights, their likeness, how often they fire."""

from itertools import permutations

import numpy as np
import torch
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import squareform

from audiorec_cli.convnet.activations import require_numbers
from audiorec_cli.convnet.layers import MAXOUT_PIECES
from audiorec_cli.convnet.loading import Excerpts, Loader, closing_loaders


@torch.inference_mode()
def first_filters(network):
    """The weights of the first convolution, on standardised spectrograms.

    network : Network in the mode that predicts. The weights are times what its normalization
        multiplies each filter by, so that signs and sizes are those that count
    Returns (n_filters, n_pieces, n_mels, conv_width) float32; a maxout filter has MAXOUT_PIECES
    linear functions, of which the largest counts [G], others one.
    """
    weights, norm = network.convs[0].weight, network.conv_norms[0]
    # a normalization is linear in what it is given
    one = torch.ones(1, len(weights), 1, device=weights.device)
    factors = norm(one, dim=1) - norm(torch.zeros_like(one), dim=1)
    n_pieces = MAXOUT_PIECES if network.settings.activation == "maxout" else 1
    return (weights * factors[0, :, :, None]).unflatten(0, (-1, n_pieces)).cpu().numpy()


def by_similarity(filters):
    """An order of the filters in which neighbours look alike, however strong they are.

    filters : (n_filters, n_pieces, n_mels, conv_width)
    Returns (n_filters,) int, the leaves of a clustering by cosine with average linkage in their
    best order (Bar-Joseph, Gifford, Jaakkola, "Fast optimal leaf ordering", 2001).
    """
    if len(filters) == 1:
        return np.zeros(1, int)
    distances = np.maximum(0, 1 - _cosines(filters.astype(float)))
    condensed = squareform((distances + distances.T) / 2, checks=False)
    return leaves_list(linkage(condensed, "average", optimal_ordering=True))


def _cosines(filters):
    """(n_filters, n_filters); the pieces of a filter are matched in whichever order is best."""
    norm = np.sqrt(np.square(filters).sum(axis=(1, 2, 3), keepdims=True))
    unit = np.divide(filters, norm, out=np.zeros_like(filters), where=norm > 0)
    flat = unit.reshape(len(unit), -1)
    orders = permutations(range(filters.shape[1]))
    return np.max([flat @ unit[:, order].reshape(flat.shape).T for order in orders], axis=0)


@torch.inference_mode()
def firing_shares(network, open_reader, rows, *, batch_size, on_batch=lambda n: None):
    """How often each filter of the first convolution fires: the share of frames above 0.

    open_reader : as in Excerpts; rows : of the excerpts to look at, in a mels file
    Memory does not grow with the number of excerpts. Returns (n_filters,) float64 from 0 to 1.
    Raises AudiorecError where spectrograms hold values that are no numbers.
    """
    device = network.output.weight.device
    n_fired, n_frames = 0, 0
    loader = Loader(Excerpts(open_reader, rows), batch_size=batch_size)
    with closing_loaders(loader):
        for mels, _ in loader.epoch(0):
            # later layers are not computed
            _, activations = next(network.activations(mels.to(device)))
            require_numbers(activations)
            n_fired = n_fired + (activations > 0).sum(dim=(0, 2))
            n_frames += activations.shape[0] * activations.shape[2]
            on_batch(len(mels))
    return n_fired.cpu().numpy() / n_frames


def heard(network, open_reader, rows, top):
    """The mean of what makes each filter of the first convolution fire most.

    open_reader : as in Excerpts; rows : of the excerpts that were ranked; top : TopExcerpts of the
        first convolution by "max"
    Returns (n_filters, 1, n_mels, conv_width) float32, standardised as the network sees it: in
    deviations of each mel bin from its mean over the training tracks. 0 where a filter never fires.
    """
    settings, layer = network.settings, network.settings.conv_layers[0]
    width, _ = settings.receptive_field(layer)
    begins = np.rint(settings.centre_of_frame(layer, top.frames) - (width - 1) / 2).astype(int)
    mean, deviation = (part.cpu().numpy() for part in (network.mel_mean, network.mel_deviation))
    found = np.zeros((len(begins), 1, settings.n_mels, width), np.float32)
    with open_reader() as reader:
        for number, fires in enumerate(top.values != 0):
            for index, begin in zip(
                top.excerpts[number, fires], begins[number, fires], strict=True
            ):
                mel = reader.read(int(rows[index]))[:, begin : begin + width]
                found[number, 0] += (mel.astype(np.float32) - mean) / deviation / fires.sum()
    return found
