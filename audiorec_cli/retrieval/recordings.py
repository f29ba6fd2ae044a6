"""Whether two spectrograms are of one recording: another pressing, another encoding."""

import numpy as np

ALIKE = 0.9  # two songs of one tempo came to 0.83 at most, two files of one song to 0.97
MAX_SHIFT_S = 3.0  # the middle of a track moves with the silence before and behind it


def likeness(one, other, *, max_shift):
    """The highest correlation of two spectrograms over shifts in time.

    one, other : (n_mels, n_frames) log-mel spectrograms, any float dtype; max_shift : frames
    What a bin has on average does not count, so loudness and equalisation hardly do.
    Returns a float from -1 to 1, 0 where one of them never changes.
    """
    one, other = _without_mean(one), _without_mean(other)
    n = 1 << (one.shape[1] + max_shift - 1).bit_length()  # other lengths take longer
    spectra = np.fft.rfft(one, n) * np.conj(np.fft.rfft(other, n))
    correlation = np.fft.irfft(spectra.sum(axis=0), n)
    shifts = np.concatenate([correlation[: max_shift + 1], correlation[-max_shift:]])
    length = np.linalg.norm(one) * np.linalg.norm(other)
    return float(shifts.max() / length) if length else 0.0


def _without_mean(mel):
    mel = np.asarray(mel, dtype=np.float32)
    return mel - mel.mean(axis=1, keepdims=True)
