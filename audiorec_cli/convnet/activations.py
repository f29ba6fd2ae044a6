"""Which tracks make a filter fire most, and when: the playlists of [A]'s analysis."""

import math
from typing import NamedTuple

import numpy as np
import torch

from audiorec_cli.convnet.loading import Excerpts, Loader, closing_loaders

OUTPUT = "output"  # the last layer, of the factors
FAINT = 0.1  # of the layer's strongest activation: what never exceeds it is as good as silent


class TopExcerpts(NamedTuple):
    """For each filter of a layer the excerpts that activate it most, the highest first.

    excerpts : (n_filters, k) int64, indices into the excerpts looked at, -1 where there are fewer
    values : (n_filters, k) float32, the activation; frames : (n_filters, k) int64, the layer's
    selectivity : (n_filters,) how many standard deviations above the mean the highest k lie; 0 for
        a filter that hardly fires
    """

    excerpts: np.ndarray
    values: np.ndarray
    frames: np.ndarray
    selectivity: np.ndarray


@torch.inference_mode()
def top_excerpts(network, open_reader, rows, *, lists, k, batch_size, on_batch=lambda n: None):
    """Rank the excerpts `rows` of a mels file for every filter of several layers, in one pass.

    lists : (layer, by) pairs: one of network.settings.layers or OUTPUT, and "max" or "mean", over
        time; a dense layer has one activation for the whole excerpt, or one for each window where
        the network has such, and OUTPUT always one
    Memory does not grow with the number of excerpts. Returns {(layer, by): TopExcerpts}.
    """
    best, moments = {}, dict.fromkeys(lists, 0.0)
    loader = Loader(Excerpts(open_reader, rows), batch_size=batch_size)
    with closing_loaders(loader):
        for mels, indices in loader.epoch(0):
            indices = indices.to(device := network.output.weight.device)
            for key, values, frames in layer_responses(network, mels.to(device), lists):
                new = (values.T, indices.expand(values.shape[1], -1), frames.T)
                best[key] = _keep_highest(best.get(key), new, k)
                wide = values.double()
                moments[key] = moments[key] + torch.stack([wide.sum(0), wide.square().sum(0)])
            on_batch(len(indices))
    return {key: _top_of(best[key], moments[key], len(rows)) for key in lists}


def _top_of(best, moments, n):
    values, excerpts, frames = (part.cpu().numpy() for part in best)
    return TopExcerpts(excerpts, values, frames, _selectivity(values, moments.cpu(), n))


def layer_responses(network, mels, lists):
    """How strongly each filter of some layers answers to each excerpt, and at which frame most.

    mels : (batch, n_mels, n_frames); lists : as in top_excerpts
    Yields for each of them its (layer, by), values (batch, n_filters) float32 and frames
    (batch, n_filters) int64. For a dense layer, or the outputs, of a network with windows the
    frames are those windows; of one with global pooling the frame is the one of the last
    convolution that, were the whole excerpt to sound like it, would activate the unit most. The
    outputs are the predicted factors; where further heads have a part in them, the frame is that
    of the convolutions' own head.
    """
    activations = dict(network.activations(mels))
    for layer in dict.fromkeys(layer for layer, _ in lists):
        values, frames = _responses(network, mels, activations, layer)
        for by in (by for other, by in lists if other == layer):
            if values.ndim == 2:
                yield (layer, by), values, frames
            else:
                over_time = values.amax(-1) if by == "max" else values.mean(-1)
                yield (layer, by), over_time, frames


def _responses(network, mels, activations, layer):
    """Values (batch, n_filters), or (batch, n_filters, n_frames), and the frame of the highest."""
    if layer != OUTPUT and activations[layer].ndim == 3:
        return activations[layer], activations[layer].argmax(-1)
    convolutions = [activations[name] for name in network.settings.conv_layers]
    if layer != OUTPUT:
        return activations[layer], _dense_peaks(network, convolutions, layer)
    n_factors = network.settings.n_factors
    outputs = network(mels)[:, :n_factors]
    last = activations[network.settings.layers[-1]]
    if last.ndim == 3:
        by_window = network.outputs_of(last.transpose(1, 2))[..., :n_factors]
        return outputs, by_window.argmax(dim=1)
    return outputs, _dense_peaks(network, convolutions, layer)[:, :n_factors]


def _dense_peaks(network, convolutions, layer):
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
            return units.argmax(dim=1)
    return network.outputs_of(units).argmax(dim=1)


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
