"""The network of [A]: convolutions over time, global temporal pooling, dense layers."""

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional


@dataclass(frozen=True)
class NetworkSettings:
    """The architecture; the defaults are [A]'s.

    conv_channels : filters of each convolution; conv_width : frames that a filter spans
    conv_pools : frames that max-pooling joins after each convolution, 1 for none
    dense_units : units of each hidden dense layer; dropout : share of units dropped before each
    """

    n_mels: int = 128
    conv_channels: tuple[int, ...] = (256, 256, 512, 512)
    conv_width: int = 4
    conv_pools: tuple[int, ...] = (4, 2, 2, 1)
    dense_units: tuple[int, ...] = (2048, 2048)
    n_factors: int = 40
    dropout: float = 0.5

    def __post_init__(self):
        # JSON gives lists back
        for name in ("conv_channels", "conv_pools", "dense_units"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if len(self.conv_channels) != len(self.conv_pools) or not self.conv_channels:
            raise ValueError("each convolution needs its pooling, 1 for none")
        if not self.dense_units:
            raise ValueError("at least one hidden dense layer is needed")

    @property
    def layers(self):
        """Names of the hidden layers, from input to output."""
        convs = [f"conv{i + 1}" for i in range(len(self.conv_channels))]
        return [*convs, *(f"dense{i + 1}" for i in range(len(self.dense_units)))]

    def receptive_field(self, layer):
        """Input frames that one frame of a layer sees, and input frames from one to the next.

        layer : conv1, conv2 …, before its max-pooling; for dense1, dense2 … the frames meant are
            those of the last convolution after its max-pooling, which global pooling joins
        """
        width, step = 1, 1
        for index, pool in enumerate(self.conv_pools):
            width += (self.conv_width - 1) * step
            if f"conv{index + 1}" == layer:
                return width, step
            width += (pool - 1) * step
            step *= pool
        return width, step

    @property
    def min_frames(self):
        """The shortest input, in frames, that reaches the last convolution."""
        return self.receptive_field(f"conv{len(self.conv_channels)}")[0]


def global_temporal_pool(activations):
    """Summarise each feature over time: mean, maximum and L2 norm, side by side [A].

    activations : (batch, n_features, n_frames), any real dtype
    Returns (batch, 3 * n_features).
    Raises ValueError when there is no frame to pool over.
    """
    if activations.shape[-1] == 0:
        raise ValueError("no frame to pool over")
    mean = activations.mean(dim=-1)
    maximum = activations.amax(dim=-1)
    norm = torch.linalg.vector_norm(activations, dim=-1)
    return torch.cat([mean, maximum, norm], dim=1)


class Network(nn.Module):
    """Predicts a track's latent factors from its log-mel spectrogram [A].

    mel_mean, mel_deviation : (n_mels,) float32, of the training mels: inputs are standardised
    """

    def __init__(self, settings, *, mel_mean, mel_deviation):
        super().__init__()
        self.settings = settings
        self.register_buffer("mel_mean", torch.as_tensor(mel_mean)[:, None], persistent=False)
        self.register_buffer(
            "mel_deviation", torch.as_tensor(mel_deviation)[:, None], persistent=False
        )
        channels = (settings.n_mels, *settings.conv_channels)
        self.convs = nn.ModuleList(
            nn.Conv1d(n_in, n_out, settings.conv_width) for n_in, n_out in pairwise(channels)
        )
        units = (3 * channels[-1], *settings.dense_units)
        self.dense = nn.ModuleList(nn.Linear(n_in, n_out) for n_in, n_out in pairwise(units))
        self.output = nn.Linear(units[-1], settings.n_factors)
        self.dropout = nn.Dropout(settings.dropout)

    def forward(self, mels):
        """Latent factors of each excerpt, not normalised.

        mels : (batch, n_mels, n_frames) log-mel spectrograms, any float dtype, any number of
            frames from settings.min_frames
        Returns (batch, n_factors) float32.
        """
        for _, activations in self.activations(mels):
            hidden = activations
        return self.output(self.dropout(hidden))

    def activations(self, mels):
        """Yield (layer, activations) of each hidden layer in turn.

        Convolutions: (batch, n_filters, n_frames), rectified, before max-pooling.
        Dense layers: (batch, n_units), rectified.
        """
        hidden = (mels.float() - self.mel_mean) / self.mel_deviation
        names = iter(self.settings.layers)
        for conv, pool in zip(self.convs, self.settings.conv_pools, strict=True):
            hidden = functional.relu(conv(hidden))
            yield next(names), hidden
            hidden = functional.max_pool1d(hidden, pool)
        yield from zip(names, self.dense_activations(global_temporal_pool(hidden)), strict=True)

    def dense_activations(self, pooled):
        """Yield the activations (batch, n_units) of each dense layer, given the pooled features."""
        hidden = pooled
        for dense in self.dense:
            hidden = functional.relu(dense(self.dropout(hidden)))
            yield hidden
