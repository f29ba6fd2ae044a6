"""FLAC, which miniaudio decodes in less time than libFLAC takes."""

import contextlib
import os

import miniaudio
import numpy as np

from audiorec_cli.audio.sound import BLOCK_SAMPLES, Sound, UnknownFormat, check_layout, mixed_down


class FlacSound(Sound):
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
        if not told.num_frames:
            raise UnknownFormat("does not tell how long it is")
        self._channels = told.nchannels
        super().__init__(told.sample_rate, told.num_frames)

    def read(self, start_s, seconds):
        """That part of the sound, mono: (n,) float32, fewer where it ends before.

        Returns it and the second at which it begins. Raises UnknownFormat.
        """
        first, wanted = self.span(start_s, seconds)
        try:
            blocks = miniaudio.stream_file(
                self._path,
                output_format=miniaudio.SampleFormat.FLOAT32,
                nchannels=self._channels,
                sample_rate=self.rate,
                frames_to_read=max(1, BLOCK_SAMPLES // self._channels),
                seek_frame=first,
            )
            with contextlib.closing(blocks):
                arrays = (np.frombuffer(b, np.float32).reshape(-1, self._channels) for b in blocks)
                return mixed_down(arrays, wanted), first / self.rate
        except miniaudio.MiniaudioError as error:
            raise UnknownFormat("not audio that can be decoded") from error
