"""Which tracks make a filter fire most, and when: the playlists of [A]'s analysis."""

import math
from typing import NamedTuple

import numpy as np
import torch

from audiorec_cli.convnet.loading import Excerpts, Loader, closing_loaders
from audiorec_cli.errors import AudiorecError

OUTPUT = "output"  # the last layer, of the factors
FAINT = 0.1  # of the layer's strongest activation: what never exceeds it is as good as silent


class TopExcerpts(NamedTuple):
    """For each filter of a layer the excerpts that activate it most, the highest first.

    excerpts : (n_filters, k) int64, indices into the excerpts looked at; k is cut to their number
    values : (n_filters, k) float32, the activation; frames : (n_filters, k) int64, the layer's
    selectivity : (n_filters,) how many standard deviations above the mean the highest k lie; 0 for
        a filter that hardly fires
    """

    excerpts: np.ndarray
    values: np.ndarray
    frames: np.ndarray
    selectivity: np.ndarray

    def first(self, k):
        """The same with the k highest of each filter only."""
        parts = (part[:, :k] for part in (self.excerpts, self.values, self.frames))
        return TopExcerpts(*parts, self.selectivity)


@torch.inference_mode()
def top_excerpts(
    network, open_reader, rows, *, lists, k, batch_size, n_sound=None, on_batch=lambda n: None
):
    """Rank the excerpts `rows` of a mels file for every filter of several layers, in one pass.

    lists : (layer, by) pairs: one of network.settings.layers or OUTPUT, and "max" or "mean", over
        time; a dense layer has one activation for the whole excerpt, or one for each window where
        the network has such, and OUTPUT always one
    n_sound : (len(rows),) frames of each spectrogram that hold sound, before silence that was put
        there; None for all. What a filter does over silence does not count
    Memory does not grow with the number of excerpts. Returns {(layer, by): TopExcerpts}.
    Raises AudiorecError where spectrograms hold values that are no numbers.
    """
    best, moments = {}, dict.fromkeys(lists, 0.0)
    n_sound = None if n_sound is None else torch.as_tensor(n_sound)
    loader = Loader(Excerpts(open_reader, rows), batch_size=batch_size)
    with closing_loaders(loader):
        for mels, indices in loader.epoch(0):
            heard = None if n_sound is None else n_sound[indices]
            indices = indices.to(device := network.output.weight.device)
            for key, values, frames in layer_responses(network, mels.to(device), lists, heard):
                require_numbers(values)
                new = (values.T, indices.expand(values.shape[1], -1), frames.T)
                best[key] = _keep_highest(best.get(key), new, k)
                wide = values.double()
                moments[key] = moments[key] + torch.stack([wide.sum(0), wide.square().sum(0)])
            on_batch(len(indices))
    return {key: _top_of(best[key], moments[key], len(rows)) for key in lists}


def require_numbers(activations):
    """Refuse what comes of spectrograms that hold values that are no numbers."""
    if not activations.isfinite().all():
        raise AudiorecError(
            "the spectrograms hold values that are no numbers: make them again with 'audiorec mels'"
        )


def _top_of(best, moments, n):
    values, excerpts, frames = (part.cpu().numpy() for part in best)
    return TopExcerpts(excerpts, values, frames, _selectivity(values, moments.cpu(), n))


def layer_responses(network, mels, lists, n_sound=None):
    """How strongly each filter of some layers answers to each excerpt, and at which frame most.

    mels : (batch, n_mels, n_frames); lists : as in top_excerpts; n_sound : (batch,), as there
    Yields for each of them its (layer, by), values (batch, n_filters) float32 and frames
    (batch, n_filters) int64. For a dense layer, or the outputs, of a network with windows the
    frames are those windows; of one with global pooling the frame is the one of the last
    convolution that, were the whole excerpt to sound like it, would activate the unit most. The
    outputs are the predicted factors; where further heads have a part in them, the frame is that
    of the convolutions' own head.
    """
    layers = list(dict.fromkeys(layer for layer, _ in lists))
    activations = _activations_up_to(network, mels, layers)
    if n_sound is None:
        n_sound = torch.full((len(mels),), mels.shape[-1])
    for layer in layers:
        values, moments = _responses(network, mels, activations, layer)
        heard = _heard(network.settings, layer, moments.shape[-1], n_sound).to(values.device)
        frames = moments.masked_fill(~heard[:, None], -torch.inf).argmax(-1)
        for by in (by for other, by in lists if other == layer):
            yield (layer, by), _over_time(values, heard, by), frames


def _activations_up_to(network, mels, layers):
    """The activations of the layers named and those before: {layer: activations}."""
    computed = {}
    for name, activations in network.activations(mels):
        computed[name] = activations
        if computed.keys() >= set(layers):
            break
    return computed


def _heard(settings, layer, n_frames, n_sound):
    """Whether a frame of a layer sees sound alone: (batch, n_frames) bool, the first one always."""
    layer = settings.layers[-1] if layer == OUTPUT else layer
    width, _ = settings.receptive_field(layer)
    frames = np.arange(n_frames)
    last = torch.as_tensor(settings.centre_of_frame(layer, frames) + (width - 1) / 2)
    return (last < n_sound[:, None]) | (torch.as_tensor(frames) == 0)


def _over_time(values, heard, by):
    """Activations (batch, n_filters, n_frames) as one number, those that are (batch, n_filters)."""
    if values.ndim == 2:
        return values
    if by == "max":
        return values.masked_fill(~heard[:, None], -torch.inf).amax(-1)
    return (values * heard[:, None]).sum(-1) / heard.sum(-1)[:, None]


def _responses(network, mels, activations, layer):
    """Values (batch, n_filters), or also (…, n_frames), and what they are at each moment.

    The latter (batch, n_filters, n_moments): the frames of a convolution, windows, or those of the
    last convolution's frames, each as if the whole excerpt sounded like it.
    """
    if layer != OUTPUT and activations[layer].ndim == 3:
        return activations[layer], activations[layer]
    convolutions = [activations[name] for name in network.settings.conv_layers]
    if layer != OUTPUT:
        return activations[layer], _dense_moments(network, convolutions, layer)
    n_factors = network.settings.n_factors
    last = activations[network.settings.layers[-1]]
    if last.ndim == 3:
        moments = network.outputs_of(last.transpose(1, 2)).transpose(1, 2)
    else:
        moments = _dense_moments(network, convolutions, layer)
    return network(mels)[:, :n_factors], moments[:, :n_factors]


def _dense_moments(network, convolutions, layer):
    pooled = network.pool(convolutions[-1], network.settings.conv_pools[-1])
    moments = pooled.transpose(1, 2)  # (batch, n_frames, n_features)
    n_frames = moments.shape[1]
    # mean, maximum and L2 norm, or deviation, of one frame that fills the whole excerpt
    spread = math.sqrt(n_frames) if network.settings.spread == "norm" else 0
    alone = [moments, moments, moments * spread]
    # what goes by the last convolution stays that of the excerpt
    bypassed = [part[:, None].expand(-1, n_frames, -1) for part in network.bypassed(convolutions)]
    names = network.settings.layers[len(convolutions) :]
    dense = network.dense_activations(torch.cat([*alone, *bypassed], dim=2))
    for name, units in zip(names, dense, strict=True):
        if name == layer:
            return units.transpose(1, 2)
    return network.outputs_of(units).transpose(1, 2)


def _keep_highest(best, new, k):
    if best is not None:
        new = tuple(torch.cat(parts, dim=1) for parts in zip(best, new, strict=True))
    values, order = new[0].topk(min(k, new[0].shape[1]), dim=1)
    return values, new[1].gather(1, order), new[2].gather(1, order)


def _selectivity(top_values, moments, n):
    mean, square = (moments / n).numpy()
    deviation = np.sqrt(np.maximum(square - mean**2, 0))
    # of half of them at most: all together lie at the mean
    height = top_values[:, : max(1, n // 2)].mean(axis=1) - mean
    loud = top_values[:, 0] > FAINT * top_values.max()
    return np.divide(height, deviation, out=np.zeros_like(height), where=loud & (deviation > 0))


def second_of_frame(settings, layer, frame, *, hop_length, n_fft, sample_rate):
    """Seconds from the start of the excerpt to the middle of what a frame of a layer sees.

    settings : NetworkSettings; layer : as in top_excerpts; frame : of its activations, int or array
    """
    layer = settings.layers[-1] if layer == OUTPUT else layer
    centre = settings.centre_of_frame(layer, frame)
    return (centre * hop_length + n_fft / 2) / sample_rate
