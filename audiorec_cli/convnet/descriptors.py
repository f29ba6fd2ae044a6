"""What a few hundred tracks hardly teach convolutions: statistics of timbre and harmony."""

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from audiorec_cli.convnet.layers import ACTIVATIONS, MAXOUT_PIECES, NORMALIZATIONS
from audiorec_cli.mel_scale import edges_of_filters

# Chosen by docs/experiments.md.
REGISTERS = ((40, 60), (55, 84), (72, 100))  # MIDI pitches, from the first to below the last
CHORD_S = 0.2
WINDOWS_S = (2.0, 7.5, None)  # that pitch classes are added up over, None for the whole
PITCH_CLASSES = 12
LAGS = range(1, PITCH_CLASSES // 2 + 1)
STEPS_A_SEMITONE = 3
SILENT = 1e-3


class DescriptorHead(nn.Module):
    """Predicts factors from Descriptors alone, with one hidden layer.

    settings : NetworkSettings; the hidden layer has as many units as its last one
    n_outputs : numbers for each spectrogram
    """

    def __init__(self, settings, n_outputs):
        super().__init__()
        self.descriptors = Descriptors(
            settings.n_mels, sample_rate=settings.sample_rate, hop_length=settings.hop_length
        )
        n_features, n_units = n_descriptors(settings.n_mels), settings.dense_units[-1]
        pieces = MAXOUT_PIECES if settings.activation == "maxout" else 1
        normalization = NORMALIZATIONS[settings.normalization]
        self.feature_norm = normalization(n_features)
        self.dense = nn.Linear(n_features, pieces * n_units)
        self.dense_norm = normalization(pieces * n_units)
        self.output = nn.Linear(n_units, n_outputs)
        self.dropout = nn.Dropout(settings.dropout)
        self._activate = ACTIVATIONS[settings.activation]

    def forward(self, mels):
        """(batch, n_outputs) of log-mel spectrograms (batch, n_mels, n_frames)."""
        features = self.feature_norm(self.descriptors(mels), dim=-1)
        hidden = self.dense_norm(self.dense(self.dropout(features)), dim=-1)
        return self.output(self.dropout(self._activate(hidden, dim=-1)))


class Descriptors(nn.Module):
    """Mean and deviation of each mel bin, and which intervals sound together.

    n_mels, sample_rate [Hz], hop_length [samples] : of the spectrograms
    """

    def __init__(self, n_mels, *, sample_rate, hop_length):
        super().__init__()
        self._frames_a_second = sample_rate / hop_length
        matrices = torch.from_numpy(_pitch_classes(n_mels, sample_rate))
        self.register_buffer("pitch_classes", matrices, persistent=False)

    def forward(self, mels):
        """Descriptors of log-mel spectrograms (batch, n_mels, n_frames).

        Returns (batch, n_descriptors(n_mels)) float32.
        """
        with torch.autocast(mels.device.type, enabled=False):
            mels = mels.float()
            # how loud each pitch class is in each register: (batch, n_registers, 12, n_frames)
            chroma = self.pitch_classes @ peaks(mels)[:, None]
            chords = _unit_norm(self._averaged(chroma, CHORD_S))
            windows = [self._averaged(chords, seconds, CHORD_S) for seconds in WINDOWS_S]
            return torch.cat([timbre(mels), *map(harmony, windows)], dim=1)

    def _averaged(self, frames, seconds, frame_s=None):
        """(…, n_windows) means of (…, n_frames) over whole windows; over all where it is shorter.

        frame_s : seconds of a frame, None for those of the spectrogram
        """
        n_frames = frames.shape[-1]
        a_second = 1 / frame_s if frame_s else self._frames_a_second
        length = n_frames if seconds is None else round(seconds * a_second)
        length = max(1, min(length, n_frames))
        whole = n_frames // length * length
        return frames[..., :whole].unflatten(-1, (-1, length)).mean(dim=-1)


def n_descriptors(n_mels):
    """How many numbers Descriptors gives."""
    n = len(REGISTERS)
    of_window = n * (PITCH_CLASSES + len(LAGS)) + len(_pairs(n)) * PITCH_CLASSES
    return 2 * n_mels + len(WINDOWS_S) * of_window


def timbre(mels):
    """Mean and deviation of each bin over time: (batch, 2 * n_mels)."""
    return torch.cat([mels.mean(dim=-1), mels.std(dim=-1, correction=0)], dim=1)


def peaks(mels):
    """How far each bin stands out of the two on either side: (batch, n_mels, n_frames)."""
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
    ordered = chroma.sort(dim=2, descending=True).values
    spectrum = torch.fft.rfft(chroma, dim=2)
    within = torch.fft.irfft(spectrum.abs().square(), n=PITCH_CLASSES, dim=2)[:, :, list(LAGS)]
    low, high = map(list, zip(*_pairs(chroma.shape[1]), strict=True))
    across = spectrum[:, low].conj() * spectrum[:, high]
    across = torch.fft.irfft(across, n=PITCH_CLASSES, dim=2)
    return torch.cat([part.mean(dim=-1).flatten(1) for part in (ordered, within, across)], dim=1)


def _unit_norm(chroma):
    return chroma / (torch.linalg.vector_norm(chroma, dim=2, keepdim=True) + SILENT)


def _pairs(n):
    return [(low, high) for high in range(n) for low in range(high)]


def _pitch_classes(n_mels, sample_rate):
    """What each mel bin gives to each pitch class of each register: (n_registers, 12, n_mels)."""
    pitch = 69 + 12 * np.log2(edges_of_filters(n_mels, sample_rate)[1:-1] / 440)
    matrices = np.zeros((len(REGISTERS), PITCH_CLASSES, n_mels), np.float32)
    for matrix, (low, high) in zip(matrices, REGISTERS, strict=True):
        steps = np.arange(low * STEPS_A_SEMITONE, high * STEPS_A_SEMITONE) / STEPS_A_SEMITONE
        shares = np.array([np.interp(steps, pitch, one) for one in np.eye(n_mels)]).T
        np.add.at(matrix, np.round(steps).astype(int) % PITCH_CLASSES, shares)
    return matrices
