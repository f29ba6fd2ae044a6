"""What every decoder is held to: how a file is refused, and what sound may look like."""

import numpy as np

SAMPLE_RATES = range(4_000, 768_001)  # Hz
MAX_CHANNELS = 64
BLOCK_SAMPLES = 1 << 18
MAX_SECONDS = 10 * 24 * 3600  # what claims to last longer does not know


class Undecodable(Exception):
    """A file that gives no excerpt; the message is a reason that a person understands."""


class UnknownFormat(Undecodable):
    """A file that this decoder cannot read; another one may."""


def check_layout(rate, channels):
    """Refuse what no music has. Raises Undecodable."""
    if rate not in SAMPLE_RATES:
        raise Undecodable(f"has a sample rate of {rate} Hz")
    if not 0 < channels <= MAX_CHANNELS:
        raise Undecodable(f"has {channels} channels")


def mixing_weights(channels):
    """What a dot product mixes channels down by, many times faster than a mean over them."""
    return np.full(channels, 1 / channels, np.float32)
