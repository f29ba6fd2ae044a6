"""The networks of [A], [B] and later: convolutions over time, a summary of them, dense layers."""

import math
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional

from audiorec_cli.convnet.descriptors import DescriptorHeads
from audiorec_cli.convnet.layers import POOLINGS, BatchNorm, global_temporal_pool
from audiorec_cli.convnet.perceptron import Perceptron, linear_of, norms_of

# A predicted deviation lies between a tenth and ten times that of the factors of unit norm.
LOG_VARIANCE_RANGE = math.log(100)


class Network(Perceptron):
    """Predicts a track's latent factors from its log-mel spectrogram [A].

    It is a perceptron over what convolutions see, beside which others may stand.
    mel_mean, mel_deviation : (n_mels,) float32, of the training mels: inputs are standardised
    """

    def __init__(self, settings, *, mel_mean, mel_deviation):
        channels = (settings.n_mels, *settings.conv_channels)
        convs = [
            linear_of(settings, nn.Conv1d, n_in=n_in, n_out=n_out, kernel_size=settings.conv_width)
            for n_in, n_out in pairwise(channels)
        ]
        n_outputs = (2 if settings.predict_variance else 1) * settings.n_factors
        super().__init__(settings, n_features=settings.n_features, n_outputs=n_outputs)
        self.settings = settings
        self.register_buffer("mel_mean", torch.as_tensor(mel_mean)[:, None], persistent=False)
        self.register_buffer(
            "mel_deviation", torch.as_tensor(mel_deviation)[:, None], persistent=False
        )
        self.convs = nn.ModuleList(convs)
        self.conv_norms = norms_of(settings, self.convs)
        self.descriptor_heads = (
            DescriptorHeads(settings, n_outputs) if settings.has_descriptors else None
        )

    @property
    def n_heads(self):
        """How many predictions there are of each excerpt, which learn each by itself."""
        return 1 if self.descriptor_heads is None else 1 + len(self.descriptor_heads.heads)

    def forward(self, mels):
        """Latent factors of each excerpt, of unit norm where the settings say so.

        mels : (batch, n_mels, n_frames) log-mel spectrograms, any float dtype, any number of
            frames from settings.min_frames or settings.window_frames
        Returns (batch, n_factors) float32, averaged over the windows where there are such; with
        settings.predict_variance the logarithms of the variances stand beside them,
        (batch, 2 * n_factors). In training those of further heads follow, (n_heads * batch,
        …); to predict, the heads are averaged.
        """
        windows = self._windows(mels)
        flat = windows.flatten(0, 1)
        for _, activations in self._hidden(flat):
            hidden = activations
        heads = [self.outputs_of(hidden)]
        if self.descriptor_heads is not None:
            heads.extend(self.descriptor_heads(flat))
        heads = [self._bounded(head.float()).unflatten(0, windows.shape[:2]) for head in heads]
        if self.training:
            return torch.cat([self._averaged(head) for head in heads])
        return self._averaged(torch.cat(heads, dim=1))

    def normalise_by_batch(self, of_batch):
        """Let normalizations take the mean and variance of the batch itself, to train.

        of_batch : bool; False for a batch of one, which has no variance: the running ones serve
        """
        for module in self.modules():
            if isinstance(module, BatchNorm):
                module.train(of_batch)

    def activations(self, mels):
        """Yield (layer, activations) of each hidden layer in turn.

        Convolutions: (batch, n_filters, n_frames), before pooling; those of all windows one after
        the other. Dense layers: (batch, n_units), with windows (batch, n_units, n_windows).
        """
        windows = self._windows(mels)
        for layer, activations in self._hidden(windows.flatten(0, 1)):
            by_window = activations.unflatten(0, windows.shape[:2])
            if layer in self.settings.conv_layers:
                yield layer, by_window.transpose(1, 2).flatten(2)
            elif self.settings.window_frames is None:
                yield layer, activations
            else:
                yield layer, by_window.transpose(1, 2)

    def _windows(self, mels):
        """(batch, n_windows, n_mels, n_frames): whole windows, or the excerpt as the only one."""
        length = self.settings.window_frames
        if length is None:
            return mels[:, None]
        n_windows = mels.shape[-1] // length
        if n_windows == 0:
            raise ValueError(f"{mels.shape[-1]} frames are no window of {length}")
        windows = mels[..., : n_windows * length].unflatten(-1, (n_windows, length))
        return windows.transpose(1, 2)

    def _hidden(self, mels):
        """Yield (layer, activations) of each hidden layer, for mels of one window each."""
        hidden = (mels.float() - self.mel_mean) / self.mel_deviation
        names, convolutions = iter(self.settings.layers), []
        layers = zip(self.convs, self.conv_norms, self.settings.conv_pools, strict=True)
        for conv, norm, pool in layers:
            convolutions.append(self._activate(norm(conv(hidden), dim=1), dim=1))
            yield next(names), convolutions[-1]
            hidden = self.pool(convolutions[-1], pool)
        has_windows = self.settings.window_frames is not None
        summary = hidden.flatten(1) if has_windows else self.global_pool(hidden)
        features = torch.cat([summary, *self.bypassed(convolutions)], dim=1)
        yield from zip(names, self.dense_activations(features), strict=True)

    def pool(self, activations, pool):
        """What is left of (batch, n_filters, n_frames) activations of every `pool` frames."""
        if pool == 1:
            return activations
        return POOLINGS[self.settings.pooling](activations, pool, sampled=self.training)

    def global_pool(self, activations):
        """(batch, 3 * n_filters) of (batch, n_filters, n_frames) activations."""
        return global_temporal_pool(activations, self.settings.spread)

    def bypassed(self, convolutions):
        """What goes by the later convolutions to the dense layers: (batch, 3 * n_filters) of each.

        convolutions : the activations of all of them; the last one's go there anyway
        Early layers have more frames and louder ones; divided by the root of their number the
        statistics with an L2 norm are as large as the last layer's, and training does not diverge.
        """
        if not self.settings.bypass:
            return []
        pooled = [self.global_pool(activations) for activations in convolutions[:-1]]
        if self.settings.spread != "norm":
            return pooled
        lengths = [activations.shape[-1] ** 0.5 for activations in convolutions[:-1]]
        return [part / length for part, length in zip(pooled, lengths, strict=True)]

    def _bounded(self, outputs):
        """The outputs with factors of unit norm and variances in their range, where there are such.

        What the layer gives is the logarithm of the variance against that of factors of unit norm,
        which is 1 / n_factors; far from 0 it is bent to stay within LOG_VARIANCE_RANGE.
        """
        settings = self.settings
        mean, raw = outputs.tensor_split([settings.n_factors], dim=-1)
        if settings.l2_output or settings.has_descriptors:
            mean = functional.normalize(mean, dim=-1)
        if not settings.predict_variance:
            return mean
        bent = LOG_VARIANCE_RANGE * torch.tanh(raw / LOG_VARIANCE_RANGE)
        return torch.cat([mean, bent - math.log(settings.n_factors)], dim=-1)

    def _averaged(self, outputs):
        """One output an excerpt from those (batch, n_windows, n_outputs) of its windows.

        Gaussians are taken as a mixture: its variance is the mean of the variances and the variance
        of the means.
        """
        if not self.settings.predict_variance:
            return outputs.mean(dim=1)
        mean, log_variance = outputs.chunk(2, dim=-1)
        variance = log_variance.exp().mean(dim=1) + mean.var(dim=1, correction=0)
        return torch.cat([mean.mean(dim=1), variance.log()], dim=-1)
