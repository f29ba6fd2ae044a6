"""Slaney's mel scale: linear to 1 kHz, logarithmic above (Auditory Toolbox, 1998)."""

import numpy as np

LINEAR_HZ_PER_MEL = 200 / 3
LOG_START_HZ = 1000.0
LOG_STEP = np.log(6.4) / 27


def edges_of_filters(n_mels, sample_rate):
    """Where triangular filters begin, peak and end: (n_mels + 2,) Hz, equally far in mel.

    They reach from 0 Hz to half the sample rate; filter i spans edges i to i + 2 around edge i + 1.
    """
    return _mel_to_hz(np.linspace(0, _hz_to_mel(sample_rate / 2), n_mels + 2))


def _hz_to_mel(hz):
    log_start_mel = LOG_START_HZ / LINEAR_HZ_PER_MEL
    if hz < LOG_START_HZ:
        return hz / LINEAR_HZ_PER_MEL
    return log_start_mel + np.log(hz / LOG_START_HZ) / LOG_STEP


def _mel_to_hz(mels):
    log_start_mel = LOG_START_HZ / LINEAR_HZ_PER_MEL
    logarithmic = LOG_START_HZ * np.exp(LOG_STEP * (mels - log_start_mel))
    return np.where(mels < log_start_mel, mels * LINEAR_HZ_PER_MEL, logarithmic)
