"""Sound files that libsndfile reads."""

import numpy as np
import soundfile

from audiorec_cli.audio.sound import (
    BLOCK_SAMPLES,
    MAX_SECONDS,
    UnknownFormat,
    check_layout,
    mixing_weights,
)


class _OneWay(soundfile.SoundFile):
    """soundfile seeks to where it stands after every read, and MP3 and FLAC decode again for it."""

    def seekable(self):
        return False


class SoundfileSound:
    """The sound of an open binary file; a context manager.

    rate : Hz; duration_s : what the file says, seconds
    Raises UnknownFormat where libsndfile cannot read it.
    """

    def __init__(self, file):
        try:
            self._sound = _OneWay(file.fileno(), closefd=False)
        except soundfile.LibsndfileError as error:
            raise UnknownFormat("not audio that can be decoded") from error
        self.rate = self._sound.samplerate
        self.duration_s = self._sound.frames / max(1, self.rate)
        if self.duration_s > MAX_SECONDS:
            raise UnknownFormat("does not tell how long it is")
        check_layout(self.rate, self._sound.channels)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self._sound.close()

    def read(self, start_s, seconds):
        """That part of the sound, mono: (n,) float32, fewer where it ends before.

        Returns it and the second at which it begins. Raises UnknownFormat.
        """
        first = round(start_s * self.rate)
        wanted = max(0, min(self._sound.frames - first, round(seconds * self.rate)))
        try:
            self._sound.seek(first)
            return self._read_mono(wanted), first / self.rate
        except soundfile.LibsndfileError as error:
            raise UnknownFormat("not audio that can be decoded") from error

    def _read_mono(self, wanted):
        channels = self._sound.channels
        weights, filled = mixing_weights(channels), 0
        block = np.empty((min(wanted, BLOCK_SAMPLES // channels), channels), np.float32)
        samples = np.empty(wanted, np.float32)
        while filled < wanted:
            n_read = len(self._sound.read(out=block[: wanted - filled]))
            if not n_read:
                break
            np.dot(block[:n_read], weights, out=samples[filled : filled + n_read])
            filled += n_read
        return samples[:filled]
