"""What a few hundred tracks hardly teach convolutions: timbre, harmony, rhythm and repetition.

The statistics of harmony are of pitch classes and the same in every key, as far as the bounds of
the registers and the mel bins, wider than a semitone below 430 Hz, let them. Those of rhythm are
much the same at any tempo.
"""

import numpy as np
import torch
from scipy.fft import dct
from torch import nn
from torch.nn import functional

from audiorec_cli.convnet.perceptron import Perceptron
from audiorec_cli.mel_scale import edges_of_filters

# Chosen by docs/experiments.md.
REGISTERS = ((40, 60), (55, 84), (72, 100))  # MIDI pitches, from the first to below the last
CHORD_S = 0.2  # whatever sounds within it is taken together
WINDOWS_S = (2.0, 7.5, None)  # that pitch classes are added up over, None for the whole
N_DESCRIPTOR_HEADS = 5
PITCH_CLASSES = 12
LAGS = range(1, PITCH_CLASSES // 2 + 1)
STEPS_A_SEMITONE = 3  # where a semitone's mel magnitude is looked up: below, at and above it
RHYTHM_BANDS = 8  # that onsets are looked for in
PERIODS_S = (0.1, 3.0)  # of rhythm
N_PERIODS = 16  # quantiles of the autocorrelation over the periods
N_CEPSTRA = 12  # without the first, which is loudness
ALIKE = 80  # percentile of its likeness to all moments: it tells how often a moment is repeated
N_MOMENTS = 14  # quantiles of that over the moments
SILENT = 1e-3  # far below the norm of a chord that can be heard


class DescriptorHeads(nn.Module):
    """Perceptrons that predict factors from Descriptors alone.

    They differ in their first weights and in what dropout leaves out.
    settings : NetworkSettings; n_outputs : numbers that each gives for a spectrogram
    """

    def __init__(self, settings, n_outputs):
        super().__init__()
        self.descriptors = Descriptors(
            settings.n_mels, sample_rate=settings.sample_rate, hop_length=settings.hop_length
        )
        n_features = n_descriptors(settings.n_mels)
        self.heads = nn.ModuleList(
            Perceptron(settings, n_features=n_features, n_outputs=n_outputs, drop_features=False)
            for _ in range(N_DESCRIPTOR_HEADS)
        )

    def forward(self, mels):
        """Yield (batch, n_outputs) of each head, of mels (batch, n_mels, n_frames)."""
        descriptors = self.descriptors(mels)
        for head in self.heads:
            *_, last = head.dense_activations(descriptors)
            yield head.outputs_of(last)


class Descriptors(nn.Module):
    """Mean and deviation of each mel bin, intervals that sound together, rhythm and repetition.

    n_mels, sample_rate [Hz], hop_length [samples] : of the spectrograms
    """

    def __init__(self, n_mels, *, sample_rate, hop_length):
        super().__init__()
        frame_s = hop_length / sample_rate
        self._chord_frames = max(1, round(CHORD_S / frame_s))
        chord_s = self._chord_frames * frame_s
        shortest, longest = (max(1, round(s / frame_s)) for s in PERIODS_S)
        self._periods = {"shortest": shortest, "longest": longest}
        self._window_chords = [s and max(1, round(s / chord_s)) for s in WINDOWS_S]
        matrices = torch.from_numpy(_pitch_classes(n_mels, sample_rate))
        self.register_buffer("pitch_classes", matrices, persistent=False)
        cosines = dct(np.eye(n_mels, dtype=np.float32), norm="ortho", axis=0)[1 : 1 + N_CEPSTRA]
        self.register_buffer("cosines", torch.from_numpy(cosines), persistent=False)

    def forward(self, mels):
        """Descriptors of log-mel spectrograms (batch, n_mels, n_frames).

        Returns (batch, n_descriptors(n_mels)) float32.
        """
        with torch.autocast(mels.device.type, enabled=False):
            mels = mels.float()
            # how loud each pitch class is in each register: (batch, n_registers, 12, n_frames)
            chroma = (self.pitch_classes.flatten(0, 1) @ peaks(mels)).unflatten(
                1, (-1, PITCH_CLASSES)
            )
            chords = _unit_norm(_averaged(chroma, self._chord_frames))
            windows = [_averaged(chords, length) for length in self._window_chords]
            cepstra = _averaged(self.cosines @ mels, self._chord_frames)
            parts = timbre(mels), *map(harmony, windows), rhythm(mels, **self._periods)
            return torch.cat([*parts, repetition(cepstra)], dim=1)


def n_descriptors(n_mels):
    """How many numbers Descriptors gives."""
    n = len(REGISTERS)
    of_window = n * (PITCH_CLASSES + len(LAGS)) + len(_pairs(n)) * PITCH_CLASSES
    return 2 * n_mels + len(WINDOWS_S) * of_window + N_PERIODS + N_MOMENTS


def _averaged(frames, length):
    """Means over windows of `length` frames, None for all: (…, n_windows) of (…, n_frames).

    What does not fill a last window is left out; where there are fewer frames they are the window.
    """
    if length is None:
        return frames.mean(dim=-1, keepdim=True)
    n_frames = frames.shape[-1]
    length = min(length, n_frames)
    whole = n_frames // length * length
    return frames[..., :whole].unflatten(-1, (-1, length)).mean(dim=-1)


def timbre(mels):
    """Mean and deviation of each bin over time: (batch, 2 * n_mels)."""
    mean = mels.mean(dim=-1, keepdim=True)
    # faster than mels.std()
    deviation = torch.linalg.vector_norm(mels - mean, dim=-1) / mels.shape[-1] ** 0.5
    return torch.cat([mean.squeeze(-1), deviation], dim=1)


def peaks(mels):
    """How far each bin rises above two on either side, on average: (batch, n_mels, n_frames)."""
    padded = functional.pad(mels, (0, 0, 2, 2), mode="replicate")
    n = mels.shape[1]
    around = sum(padded[:, offset : offset + n] for offset in (0, 1, 3, 4)) / 4
    return functional.relu(mels - around)


def harmony(chroma):
    """Which intervals sound together, whatever the key, averaged over windows.

    chroma : (batch, n_registers, 12, n_windows)
    Returns (batch, n): of each register the pitch classes in falling order, and their
    autocorrelation; of each two registers the cross-correlation.
    """
    chroma = _unit_norm(chroma)
    low, high = map(list, zip(*_pairs(chroma.shape[1]), strict=True))
    parts = (
        chroma.sort(dim=2, descending=True).values,
        _correlation(chroma, chroma, LAGS),
        _correlation(chroma[:, low], chroma[:, high], range(PITCH_CLASSES)),
    )
    return torch.cat([part.mean(dim=-1).flatten(1) for part in parts], dim=1)


def rhythm(mels, *, shortest, longest):
    """How regular the onsets are: the autocorrelation of their strength, in rising order.

    mels : (batch, n_mels, n_frames); shortest, longest : periods [frames]
    Returns (batch, N_PERIODS), within -1 and 1.
    """
    bands = functional.adaptive_avg_pool1d(mels.transpose(1, 2), RHYTHM_BANDS)
    onsets = functional.relu(bands.diff(dim=1, prepend=bands[:, :1])).mean(dim=2)
    onsets = onsets - onsets.mean(dim=1, keepdim=True)
    correlation = _autocorrelation(onsets, longest)
    regular = correlation[:, shortest : longest + 1] / (correlation[:, :1] + SILENT)
    return _quantiles(regular, N_PERIODS)


def _autocorrelation(values, longest):
    """Σ v(t) · v(t + lag) for the lags from 0 to `longest` at least, of (batch, n_frames)."""
    if torch.compiler.is_compiling():
        # few of the programs that run an exported network know Fourier transforms
        later = functional.pad(values, (0, longest)).unfold(1, longest + 1, 1)
        return (values[:, None] @ later).squeeze(1)
    n = values.shape[1] + longest
    spectrum = torch.fft.rfft(values, n=n)
    return torch.fft.irfft(spectrum.abs().square(), n=n)


def repetition(cepstra):
    """How often what sounds at a moment sounds again: of all moments, in rising order.

    cepstra : (batch, n, n_moments), the timbre of each
    Returns (batch, N_MOMENTS), within -1 and 1.
    """
    moments = _unit_norm(cepstra - cepstra.mean(dim=-1, keepdim=True), dim=1)
    alike = moments.transpose(1, 2) @ moments
    n_moments = alike.shape[-1]
    # as quantile(), which sorts all of them
    n_alike = n_moments - (n_moments - 1) * ALIKE // 100
    return _quantiles(alike.topk(n_alike, dim=-1).values[..., -1], N_MOMENTS)


def _quantiles(values, n):
    """(batch, n) evenly spaced quantiles, from the least to the largest, of (batch, n_values)."""
    # as quantile() does, which torch 2.11 cannot compile
    places = torch.linspace(0, 1, n, device=values.device) * (values.shape[-1] - 1)
    below, above = places.floor(), places.ceil()
    ordered = values.sort(dim=-1).values
    return torch.lerp(ordered[:, below.long()], ordered[:, above.long()], places - below)


def _correlation(one, other, lags):
    """What sounds `lags` pitch classes above each other: (batch, n, n_lags, n_windows)."""
    above = [[(pitch + lag) % PITCH_CLASSES for pitch in range(PITCH_CLASSES)] for lag in lags]
    return (one[:, :, None] * other[:, :, above]).sum(dim=3)


def _unit_norm(vectors, dim=2):
    return vectors / (torch.linalg.vector_norm(vectors, dim=dim, keepdim=True) + SILENT)


def _pairs(n):
    return [(low, high) for high in range(n) for low in range(high)]


def _pitch_classes(n_mels, sample_rate):
    """What each mel bin gives to each pitch class of each register: (n_registers, 12, n_mels)."""
    pitch = 69 + 12 * np.log2(edges_of_filters(n_mels, sample_rate)[1:-1] / 440)
    matrices = np.zeros((len(REGISTERS), PITCH_CLASSES, n_mels), np.float32)
    for matrix, (first, end) in zip(matrices, REGISTERS, strict=True):
        middle = STEPS_A_SEMITONE // 2
        steps = np.arange(first * STEPS_A_SEMITONE - middle, end * STEPS_A_SEMITONE - middle)
        sought = steps / STEPS_A_SEMITONE
        above = np.clip(np.searchsorted(pitch, sought), 1, n_mels - 1)
        share = np.clip((sought - pitch[above - 1]) / (pitch[above] - pitch[above - 1]), 0, 1)
        classes = np.round(sought).astype(int) % PITCH_CLASSES
        np.add.at(matrix, (classes, above), share)
        np.add.at(matrix, (classes, above - 1), 1 - share)
    return matrices
