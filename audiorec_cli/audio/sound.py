"""What every decoder is held to: how a file is refused, and what sound may look like."""

import numpy as np

SAMPLE_RATES = range(4_000, 768_001)  # Hz
MAX_CHANNELS = 64
BLOCK_SAMPLES = 1 << 16
MAX_SECONDS = 10 * 24 * 3600  # what claims to last longer does not know


class Undecodable(Exception):
    """A file that gives no excerpt; the message is a reason that a person understands."""


class UnknownFormat(Undecodable):
    """A file that this decoder cannot read; another one may."""


class Sound:
    """What a decoder's sound is to the one who reads it: a context manager.

    rate : Hz; n_samples : what the file says, or its frames add up to
    Raises UnknownFormat for a length that no sound has.
    """

    def __init__(self, rate, n_samples):
        self.rate, self.n_samples = rate, n_samples
        if self.duration_s > MAX_SECONDS:
            raise UnknownFormat("does not tell how long it is")

    @property
    def duration_s(self):
        """Seconds."""
        return self.n_samples / max(1, self.rate)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def close(self):
        """Nothing, where nothing is held open."""

    def span(self, start_s, seconds):
        """The first sample of a part of the sound, and how many there are of it."""
        first = round(start_s * self.rate)
        return first, max(0, min(self.n_samples - first, round(seconds * self.rate)))


def check_layout(rate, channels):
    """Refuse what no music has. Raises Undecodable."""
    if rate not in SAMPLE_RATES:
        raise Undecodable(f"has a sample rate of {rate} Hz")
    if not 0 < channels <= MAX_CHANNELS:
        raise Undecodable(f"has {channels} channels")


def mixed_down(blocks, wanted):
    """That many mono samples, (n,) float32, of blocks (m, channels); fewer where they end."""
    samples, filled = np.empty(wanted, np.float32), 0
    while filled < wanted and len(block := next(blocks, ())):
        block = block[: wanted - filled]
        mix(block, samples[filled : filled + len(block)])
        filled += len(block)
    return samples[:filled]


def mix(block, out):
    """The mean of the channels of a block (n, channels), written to out (n,), both float32.

    Many times faster than numpy's mean over so short an axis.
    """
    n_channels = block.shape[1]
    if n_channels == 2:
        np.add(block[:, 0], block[:, 1], out=out)
        out *= np.float32(0.5)
    else:
        np.dot(block, np.full(n_channels, 1 / n_channels, np.float32), out=out)
