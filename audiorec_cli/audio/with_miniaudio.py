"""FLAC, which miniaudio decodes in three quarters of the time that libFLAC takes."""

import os

import miniaudio
import numpy as np

from audiorec_cli.audio.sound import (
    BLOCK_SAMPLES,
    MAX_SECONDS,
    UnknownFormat,
    check_layout,
    mixing_weights,
)


class FlacSound:
    """The sound of a file of FLAC, by the name of an open one; a context manager.

    rate : Hz; duration_s : what the file says, seconds
    Raises UnknownFormat where it is no FLAC, or does not tell how long it is.
    """

    def __init__(self, file):
        # a leading ~ would be taken for a home folder; names that are no text it cannot open
        self._path = os.path.abspath(file.name)
        try:
            told = miniaudio.flac_get_file_info(self._path)
        except (miniaudio.MiniaudioError, ArithmeticError, UnicodeError) as error:
            raise UnknownFormat("not audio that can be decoded") from error
        check_layout(told.sample_rate, told.nchannels)
        self.rate, self._channels, self._n_samples = (
            told.sample_rate,
            told.nchannels,
            told.num_frames,
        )
        self.duration_s = self._n_samples / self.rate
        if not 0 < self.duration_s <= MAX_SECONDS:
            raise UnknownFormat("does not tell how long it is")

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        pass

    def read(self, start_s, seconds):
        """That part of the sound, mono: (n,) float32, fewer where it ends before.

        Returns it and the second at which it begins. Raises UnknownFormat.
        """
        first = round(start_s * self.rate)
        wanted = max(0, min(self._n_samples - first, round(seconds * self.rate)))
        try:
            blocks = miniaudio.stream_file(
                self._path,
                output_format=miniaudio.SampleFormat.FLOAT32,
                nchannels=self._channels,
                sample_rate=self.rate,
                frames_to_read=max(1, BLOCK_SAMPLES // self._channels),
                seek_frame=first,
            )
            return self._mixed(blocks, wanted), first / self.rate
        except miniaudio.MiniaudioError as error:
            raise UnknownFormat("not audio that can be decoded") from error

    def _mixed(self, blocks, wanted):
        """That many mono samples of blocks of all channels, or fewer."""
        samples, filled = np.empty(wanted, np.float32), 0
        weights = mixing_weights(self._channels)
        while filled < wanted:
            block = np.frombuffer(next(blocks, b""), np.float32).reshape(-1, self._channels)
            if not len(block):
                break
            block = block[: wanted - filled]
            np.dot(block, weights, out=samples[filled : filled + len(block)])
            filled += len(block)
        blocks.close()
        return samples[:filled]
