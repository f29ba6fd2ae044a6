"""Sound in the containers and codecs that FFmpeg reads, through PyAV."""

import contextlib

import av
import numpy as np

from audiorec_cli.audio.sound import (
    BLOCK_SAMPLES,
    MAX_SECONDS,
    Undecodable,
    UnknownFormat,
    check_layout,
    mix,
)

# Containers that only hold media. A playlist or a manifest could send the decoder elsewhere.
FORMATS = (
    "aac,ac3,aiff,amr,ape,asf,au,caf,dsf,dts,eac3,flac,matroska,webm,mov,mp4,m4a,mp3,mpc,mpc8,"
    "ogg,tak,tta,w64,wav,wv"
)
# Bare streams of packets: what they claim to last is a guess from their bit rate.
WITHOUT_DURATION = ("aac", "ac3", "amr", "dts", "eac3", "mp3")
# Codecs that lean on what came before are not right at once after a jump.
PREROLL_S = 0.25
# Covers of several megabytes stand before the sound; gigabytes of nothing are not searched.
PROBED_BYTES = 64 * 2**20


class _Patient:
    """A binary file that seems to end when too much of it was read before sound was found."""

    def __init__(self, file):
        self._file, self._left = file, PROBED_BYTES
        self.seek, self.tell = file.seek, file.tell

    def read(self, n_bytes):
        if self._left is not None:
            n_bytes = min(n_bytes, self._left)
            self._left -= n_bytes
        return self._file.read(n_bytes)

    def sound_was_found(self):
        self._left = None


class AvSound:
    """The sound of an open binary file, its first audio stream; a context manager.

    rate : Hz; duration_s : what the file says, or its packets add up to, seconds
    Raises UnknownFormat where FFmpeg cannot read it, Undecodable where it holds no sound.
    """

    def __init__(self, file):
        self._file = file
        options = {"format_whitelist": FORMATS, "protocol_whitelist": "none"}
        patient = _Patient(file)
        with _refusing_damage():
            self._container = av.open(patient, options=options, metadata_errors="replace")
        patient.sound_was_found()

    def __enter__(self):
        try:
            with _refusing_damage():
                self._choose_stream()
        except BaseException:
            self._container.close()
            raise
        return self

    def __exit__(self, *exception):
        self._container.close()

    def _choose_stream(self):
        if not self._container.streams.audio:
            raise Undecodable("holds no audio")
        self._stream = self._container.streams.audio[0]
        if self._stream.codec_context is None:
            raise Undecodable("holds audio of an unknown codec")
        self.rate = self._stream.rate or 0
        check_layout(self.rate, self._stream.channels)
        self.duration_s = self._measure_duration()

    def _measure_duration(self):
        container, stream = self._container, self._stream
        if container.format.name not in WITHOUT_DURATION:
            told = (
                float((stream.duration or 0) * stream.time_base),
                (container.duration or 0) / av.time_base,
            )
            for duration_s in told:
                if 0 < duration_s <= MAX_SECONDS:
                    return duration_s
        ticks = sum(packet.duration or 0 for packet in container.demux(stream))
        return float(ticks * stream.time_base)

    def read(self, start_s, seconds):
        """That part of the sound, mono: (n,) float32, fewer where it ends before.

        Returns it and the second at which it begins. Raises Undecodable.
        """
        first, wanted = round(start_s * self.rate), round(seconds * self.rate)
        samples, filled, began = np.empty(wanted, np.float32), 0, first
        with _refusing_damage():
            for position, block in self._mono_blocks(start_s - PREROLL_S, first + wanted):
                if not filled:
                    began = max(first, position)
                block = block[max(0, first - position) :][: wanted - filled]
                samples[filled : filled + len(block)] = block
                filled += len(block)
        return samples[:filled], began / self.rate

    def _mono_blocks(self, start_s, end):
        """Yield (position of its first sample, block of mono samples), in order.

        start_s : the first block begins there or earlier, seconds; the last reaches sample `end`
        """
        earlier = max(0, round(start_s / self._stream.time_base))
        self._container.seek(earlier, stream=self._stream)
        fifo, position, n_held = av.AudioFifo(), None, 0
        at_a_time, rate = BLOCK_SAMPLES // self._stream.channels, self.rate
        for frame in self._container.decode(self._stream):
            if frame.pts is None or frame.sample_rate != rate:
                raise Undecodable("changes its sample rate, or has no time stamps")
            if position is None:
                position = round(frame.pts * frame.time_base * rate)
            frame.pts = None  # the frames are taken to follow each other
            fifo.write(frame)
            n_held += frame.samples
            is_last = position + n_held >= end
            if is_last or n_held >= at_a_time:
                yield position, _mixed_down(fifo.read())
                position, n_held = position + n_held, 0
            if is_last:
                return
        if n_held:
            yield position, _mixed_down(fifo.read())


def _mixed_down(frame):
    """(n,) float32 of an audio frame of any format."""
    if frame.format.name != "flt":  # of planes PyAV counts too many, from eight channels on
        (frame,) = av.AudioResampler(format="flt").resample(frame)
    mixed = np.empty(frame.samples, np.float32)
    mix(frame.to_ndarray().reshape(frame.samples, -1), mixed)
    return mixed


@contextlib.contextmanager
def _refusing_damage():
    try:
        yield
    except (av.FFmpegError, OSError, ValueError) as error:
        raise UnknownFormat("not audio that can be decoded") from error
