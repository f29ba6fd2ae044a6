"""Sound files that libsndfile reads."""

import numpy as np
import soundfile

from audiorec_cli.audio.sound import BLOCK_SAMPLES, Sound, UnknownFormat, check_layout, mixed_down


class _OneWay(soundfile.SoundFile):
    """soundfile seeks to where it stands after every read, and MP3 and FLAC decode again for it."""

    def seekable(self):
        return False


class SoundfileSound(Sound):
    """The sound of an open binary file; a context manager.

    rate : Hz; duration_s : what the file says, seconds
    Raises UnknownFormat where libsndfile cannot read it.
    """

    def __init__(self, file):
        try:
            self._sound = _OneWay(file.fileno(), closefd=False)
        except soundfile.LibsndfileError as error:
            raise UnknownFormat("not audio that can be decoded") from error
        super().__init__(self._sound.samplerate, self._sound.frames)
        check_layout(self.rate, self._sound.channels)

    def close(self):
        """Close what libsndfile holds."""
        self._sound.close()

    def read(self, start_s, seconds):
        """That part of the sound, mono: (n,) float32, fewer where it ends before.

        Returns it and the second at which it begins. Raises UnknownFormat.
        """
        first, wanted = self.span(start_s, seconds)
        try:
            self._sound.seek(first)
            return mixed_down(self._blocks(wanted), wanted), first / self.rate
        except soundfile.LibsndfileError as error:
            raise UnknownFormat("not audio that can be decoded") from error

    def _blocks(self, wanted):
        """Yield that many samples of all channels, (n, channels) each, in the same memory."""
        channels = self._sound.channels
        block = np.empty((min(wanted, BLOCK_SAMPLES // channels), channels), np.float32)
        while n_read := len(self._sound.read(out=block[:wanted])):
            wanted -= n_read
            yield block[:n_read]
