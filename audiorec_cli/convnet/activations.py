"""Which tracks make a filter fire most, and when: the playlists of [A]'s analysis."""

import math
from typing import NamedTuple

import numpy as np
import torch

from audiorec_cli.convnet.loading import Excerpts, Loader, closing_loaders

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
def top_excerpts(network, open_reader, rows, *, layer, by, k, batch_size, on_batch=lambda n: None):
    """Rank the excerpts `rows` of a mels file for every filter of a layer, in one pass.

    layer : one of network.settings.layers
    by : "max" or "mean", over time; a dense layer has one activation for the whole excerpt, or one
        for each window where the network has such
    Memory does not grow with the number of excerpts. Returns TopExcerpts.
    """
    device = network.output.weight.device
    best, moments = None, 0.0
    loader = Loader(Excerpts(open_reader, rows), batch_size=batch_size)
    with closing_loaders(loader):
        for mels, indices in loader.epoch(0):
            values, frames = layer_responses(network, mels.to(device), layer=layer, by=by)
            new = (values.T, indices.to(device).expand(values.shape[1], -1), frames.T)
            best = _keep_highest(best, new, k)
            moments = moments + torch.stack(
                [values.double().sum(0), values.double().square().sum(0)]
            )
            on_batch(len(indices))
    values, excerpts, frames = (part.cpu().numpy() for part in best)
    return TopExcerpts(excerpts, values, frames, _selectivity(values, moments.cpu(), len(rows)))


def layer_responses(network, mels, *, layer, by):
    """How strongly each filter of a layer answers to each excerpt, and at which frame most.

    mels : (batch, n_mels, n_frames); layer, by : as in top_excerpts
    Returns values (batch, n_filters) float32 and frames (batch, n_filters) int64. For a dense
    layer of a network with windows the frames are those windows; of one with global pooling the
    frame is the one of the last convolution that, were the whole excerpt to sound like it, would
    activate the unit most.
    """
    responses = {}
    for name, activations in network.activations(mels):
        responses[name] = activations
        if name == layer:
            break
    if activations.ndim == 3:
        values = activations.amax(-1) if by == "max" else activations.mean(-1)
        return values, activations.argmax(-1)
    convolutions = [responses[name] for name in network.settings.conv_layers]
    return activations, _dense_peaks(network, convolutions, layer)


def _dense_peaks(network, convolutions, layer):
    pooled = network.pool(convolutions[-1], network.settings.conv_pools[-1])
    moments = pooled.transpose(1, 2)  # (batch, n_frames, n_features)
    n_frames = moments.shape[1]
    # mean, maximum and L2 norm, or deviation, of one frame that fills the whole excerpt
    spread = math.sqrt(n_frames) if network.settings.spread == "norm" else 0
    alone = [moments, moments, moments * spread]
    # what goes by the last convolution stays that of the excerpt
    bypassed = [part[:, None].expand(-1, n_frames, -1) for part in network.bypassed(convolutions)]
    depth = network.settings.layers.index(layer) - len(convolutions)
    for index, units in enumerate(network.dense_activations(torch.cat([*alone, *bypassed], dim=2))):
        if index == depth:
            return units.argmax(dim=1)
    raise ValueError(f"{layer} is no dense layer")


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

    settings : NetworkSettings; frame : of the layer's activations, int or array
    """
    centre = settings.centre_of_frame(layer, frame)
    return (centre * hop_length + n_fft / 2) / sample_rate
