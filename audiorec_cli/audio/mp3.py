"""MP3, frame by frame: only the headers before an excerpt are looked at, and only it is decoded.

Frames are found by their headers (ISO/IEC 11172-3, 2.4.1.3) and given to FFmpeg's decoder, which
takes less time than to let a library seek and read them.
"""

import itertools
import re
from array import array
from dataclasses import dataclass
from typing import NamedTuple

import av
import numpy as np
from av.codec.context import CodecContext

from audiorec_cli.audio.sound import Sound, UnknownFormat, mix

MPEG_1, MPEG_2, MPEG_2_5 = 3, 2, 0  # as a header writes them
SAMPLE_RATES = {
    MPEG_1: (44_100, 48_000, 32_000),
    MPEG_2: (22_050, 24_000, 16_000),
    MPEG_2_5: (11_025, 12_000, 8_000),
}
SAMPLES_A_FRAME = {MPEG_1: 1152, MPEG_2: 576, MPEG_2_5: 576}
# kbit/s; frames of a free bit rate, the first, do not tell how long they are
BIT_RATES = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
BIT_RATES_OF_LOW_SAMPLE_RATES = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
SYNC, LAYER_3, MONO = 0xFF, 1, 3
HEADER_BYTES = 4
MAX_FRAME_BYTES = 1441  # 320 kbit/s at 32 kHz, padded
NO_FRAME = 1 << 40
IN_A_ROW = 3  # headers, each where the one before says, are no accident

ID3_SHIFTS = (21, 14, 7, 0)  # of the four bytes that tell a tag's size
SEARCHED_BYTES = 1 << 18  # behind a tag, whose padding some programs leave out of its size
BLOCK_BYTES = 1 << 19
# Where to begin to decode, so that it is right: a frame's bits may begin up to 511 bytes before it,
# not counting headers, and half of its sound overlaps with that of the frame before.
PREROLL_BYTES = 1 << 10

XING_HEADERS = (b"Xing", b"Info")
XING_WITHIN = 64  # bytes of a frame: behind its side information
HAS_FRAMES, HAS_BYTES, HAS_TOC, HAS_QUALITY = 1, 2, 4, 8
VBRI_HEADER, VBRI_BYTES_AT, VBRI_FRAMES_AT = b"VBRI", 10, 14
ENCODERS = (b"LAME", b"Lavc", b"Lavf")  # that tell their delay
LAME_DELAY_AT = 21  # bytes behind the name of the encoder
DECODER_DELAY = 529  # samples
FRAMES_AT_A_TIME = 48  # few enough to stay in a core's cache
SIZE_TOLERANCE = 0.01  # of what is told of a file's size; more, and the rest is not believed


class Layout(NamedTuple):
    """What all frames of a stream have in common.

    kind : the second byte of their headers, but for its last bit
    lengths : bytes of a frame by the third byte of its header, or NO_FRAME
    """

    kind: int
    rate: int
    samples_a_frame: int
    lengths: list[int]


class Told(NamedTuple):
    """What an information frame tells.

    n_frames : of the file, None where that is not told or not believed
    delay, padding : decoded samples before and behind the sound, those of the decoder among them
    """

    n_frames: int | None = None
    delay: int = 0
    padding: int = 0


@dataclass(frozen=True)
class Frames:
    """n frames side by side: each is data from one of n + 1 bounds to the next."""

    data: bytes
    bounds: list[int]

    def __len__(self):
        return len(self.bounds) - 1

    def between(self, first, last):
        """The bytes of the frames from number `first` up to `last`, which is not one of them."""
        return self.data[self.bounds[first] : self.bounds[last]]


class Mp3Sound(Sound):
    """The sound of an open binary file of MP3; a context manager.

    rate : Hz; duration_s : what the file says, or its frames add up to, seconds
    Raises UnknownFormat where it is no MP3.
    """

    def __init__(self, file):
        self._file = file
        self._layout, first = _first_frame(file)
        self._places, self._next = array("q"), first  # of the frames found, and where to go on
        told = self._skip_information()
        self._delay = told.delay
        if told.n_frames is None:
            self._find_frames(None)
        n_frames = len(self._places) if told.n_frames is None else told.n_frames
        n_samples = n_frames * self._layout.samples_a_frame
        super().__init__(self._layout.rate, max(0, n_samples - told.delay - told.padding))

    def read(self, start_s, seconds):
        """That part of the sound, mono: (n,) float32, fewer where it ends before.

        Returns it and the second at which it begins. Raises UnknownFormat.
        """
        first, wanted = self.span(start_s, seconds)
        begin, per_frame = first + self._delay, self._layout.samples_a_frame
        last = -(-(begin + wanted) // per_frame)
        self._find_frames(last)
        earlier = self._before(begin // per_frame)
        samples = _decode(self._read_frames(earlier, last), per_frame)
        return samples[begin - earlier * per_frame :][:wanted], first / self.rate

    def _skip_information(self):
        """What the first frame tells, if it is one that tells of the file and has no sound."""
        self._file.seek(self._next)
        frame = self._file.read(MAX_FRAME_BYTES)
        length = self._layout.lengths[frame[2]]
        told = _read_information(frame[:length], _bytes_from(self._file, self._next))
        if told is None:
            return Told()
        self._next += length
        return told

    def _find_frames(self, enough):
        """Look for frames until there are enough, or, for None, to the end of the file."""
        while enough is None or len(self._places) < enough:
            self._file.seek(self._next)
            block = self._file.read(BLOCK_BYTES)
            is_last = len(block) < BLOCK_BYTES
            at = _walk(block, self._next, self._layout, self._places, is_last=is_last)
            self._next += at
            if is_last:
                return

    def _before(self, frame):
        """The number of an earlier frame, so that `frame` is right when decoding begins there."""
        earlier = frame = max(0, min(frame, len(self._places) - 1))
        while earlier and self._places[frame] - self._places[earlier] < PREROLL_BYTES:
            earlier -= 1
        return max(0, earlier - 1)

    def _read_frames(self, first, last):
        """The Frames, between these numbers, that are there."""
        places = np.array(self._places[first:last])
        # what lies between frames may be gigabytes: it is not read
        gaps = np.flatnonzero(np.diff(places) > MAX_FRAME_BYTES) + 1
        runs = [self._read_run(run) for run in np.split(places, gaps) if len(run)]
        if len(runs) == 1:  # nearly always, and then nothing is copied
            return runs[0]
        bounds = np.cumsum(np.concatenate([[0], *(np.diff(run.bounds) for run in runs)]))
        data = b"".join(run.between(0, len(run)) for run in runs)
        return Frames(data, bounds.astype(int).tolist())

    def _read_run(self, places):
        """The Frames at these places (n,), with little between them, but for those cut off."""
        self._file.seek(int(places[0]))
        block = self._file.read(int(places[-1] - places[0]) + MAX_FRAME_BYTES)
        starts = places - places[0]
        starts = starts[starts <= len(block) - HEADER_BYTES]
        if not len(starts):
            return Frames(b"", [0])
        lengths = np.array(self._layout.lengths)[np.frombuffer(block, np.uint8)[starts + 2]]
        ends = np.minimum(starts + lengths, len(block))
        if (starts[1:] == ends[:-1]).all():
            return Frames(block, [*starts.tolist(), int(ends[-1])])
        frames = [block[i:j] for i, j in zip(starts.tolist(), ends.tolist(), strict=True)]
        return Frames(b"".join(frames), np.cumsum([0, *map(len, frames)]).tolist())


def _first_frame(file):
    """The Layout of an MP3 stream and where its first frame is. Raises UnknownFormat."""
    start = _behind_tag(file)
    file.seek(start)
    block = file.read(SEARCHED_BYTES)
    at = block.find(SYNC) if start else 0  # without a tag there is nothing to look behind
    while 0 <= at <= len(block) - HEADER_BYTES:
        layout = _layout(block[at : at + HEADER_BYTES])
        if layout and _is_stream(block, at, layout, is_last=len(block) < SEARCHED_BYTES):
            return layout, start + at
        at = block.find(SYNC, at + 1) if start else -1
    raise UnknownFormat("not audio that can be decoded")


def _behind_tag(file):
    """Where ID3 tags end, 0 where there are none."""
    end = 0
    while True:
        file.seek(end)
        tag = file.read(10)
        if len(tag) < 10 or not tag.startswith(b"ID3"):
            return end
        end += 10 + sum((b & 0x7F) << s for b, s in zip(tag[6:10], ID3_SHIFTS, strict=True))


def _layout(header):
    """The Layout of the stream that a frame's header is of, None where it is no header."""
    version, layer, rate = header[1] >> 3 & 3, header[1] >> 1 & 3, header[2] >> 2 & 3
    if header[0] != SYNC or header[1] < 0xE0 or layer != LAYER_3 or rate == 3:
        return None
    if version not in SAMPLE_RATES:
        return None
    hz = SAMPLE_RATES[version][rate]
    bit_rates = BIT_RATES if version == MPEG_1 else BIT_RATES_OF_LOW_SAMPLE_RATES
    samples = SAMPLES_A_FRAME[version]
    lengths = [NO_FRAME] * 256
    for code, kbits in enumerate(bit_rates[1:], start=1):
        for padding, private in itertools.product((0, 1), repeat=2):
            byte = code << 4 | rate << 2 | padding << 1 | private
            lengths[byte] = samples // 8 * kbits * 1000 // hz + padding
    return Layout(header[1] & 0xFE, hz, samples, lengths)


def _is_stream(block, at, layout, *, is_last):
    """Whether several frames follow each other from here, or up to the end of the file."""
    for n_found in range(IN_A_ROW):
        if at + HEADER_BYTES > len(block):
            return is_last and n_found > 0
        length = layout.lengths[block[at + 2]]
        if block[at] != SYNC or block[at + 1] & 0xFE != layout.kind or length == NO_FRAME:
            return False
        at += length
    return True


def _walk(block, offset, layout, places, *, is_last):
    """Append where in the file the frames of a block are; `offset` is the block's own place.

    Returns where in the block to go on: the first frame that is not all in it.
    """
    at, lengths = 0, layout.lengths
    end = len(block) - (HEADER_BYTES if is_last else IN_A_ROW * MAX_FRAME_BYTES)
    headers = np.frombuffer(block, np.uint8)
    while at <= end:
        found, third = [], at + 2  # the byte that tells how long a frame is
        last = end + 2
        while third <= last:
            found.append(third)
            third += lengths[block[third]]
        # what they are is seen for all at once, which takes half the time
        found = np.array([*found, third], np.int64) - 2
        at = int(found[-1])
        is_frame = headers[found[:-1]] == SYNC
        is_frame &= headers[found[:-1] + 1] & 0xFE == layout.kind
        is_frame &= np.diff(found) <= MAX_FRAME_BYTES
        n_found = len(is_frame) if is_frame.all() else is_frame.argmin()
        places.frombytes((found[:n_found] + offset).tobytes())
        if n_found < len(is_frame):
            at = _next_stream(block, int(found[n_found]) + 1, end, layout, is_last=is_last)
    return min(at, len(block))


def _next_stream(block, at, end, layout, *, is_last):
    """Where frames follow each other again, or, behind `end`, where they may do so."""
    kinds = re.escape(bytes((layout.kind, layout.kind | 1)))
    for header in re.compile(b"\xff[" + kinds + b"]").finditer(block, at):
        if header.start() > end or _is_stream(block, header.start(), layout, is_last=is_last):
            return header.start()
    return len(block)


def _read_information(frame, n_bytes):
    """The Told of an information frame (Xing's, LAME's, or Fraunhofer's), None of one with sound.

    n_bytes : of the file, from this frame to its end
    """

    def number(place, n=4):
        return int.from_bytes(frame[place : place + n], "big")

    def believed(n_frames, told_bytes):
        is_of_this_file = abs(told_bytes - n_bytes) <= SIZE_TOLERANCE * n_bytes
        return n_frames if n_frames and is_of_this_file else None

    at = frame[:XING_WITHIN].find(VBRI_HEADER)
    if at >= 0:
        return Told(believed(number(at + VBRI_FRAMES_AT), number(at + VBRI_BYTES_AT)))
    at = max(frame[:XING_WITHIN].find(name) for name in XING_HEADERS)
    if at < 0:
        return None
    flags, place, fields = number(at + 4), at + 8, {}
    for flag, size in ((HAS_FRAMES, 4), (HAS_BYTES, 4), (HAS_TOC, 100), (HAS_QUALITY, 4)):
        if flags & flag:
            fields[flag], place = number(place), place + size
    n_frames = believed(fields.get(HAS_FRAMES), fields.get(HAS_BYTES, 0))
    both = number(place + LAME_DELAY_AT, 3)  # 12 bits each
    if not both or frame[place : place + 4] not in ENCODERS:
        return Told(n_frames)
    delay, padding = both >> 12, both & 0xFFF
    return Told(n_frames, delay + DECODER_DELAY, max(0, padding - DECODER_DELAY))


def _bytes_from(file, place):
    """Bytes of a file from a place to its end."""
    return file.seek(0, 2) - place


def _decode(frames, samples_a_frame):
    """Frames as mono samples, (len(frames) * samples_a_frame,) float32; silence for a broken one.

    Raises UnknownFormat when all are.
    """
    if not frames:
        return np.empty(0, np.float32)
    try:
        return _decode_together(frames, samples_a_frame)
    except (av.FFmpegError, ValueError):
        return _decode_one_by_one(frames, samples_a_frame)


def _decode_together(frames, samples_a_frame):
    """Frames of which none is broken, as in `_decode`: many in a packet take less time.

    Raises FFmpegError or ValueError where one is broken, or unlike the others.
    """
    codec, channels = _decoder(), 1 if frames.data[3] >> 6 == MONO else 2
    samples, filled = np.empty(len(frames) * samples_a_frame, np.float32), 0
    for first in range(0, len(frames), FRAMES_AT_A_TIME):
        last = min(first + FRAMES_AT_A_TIME, len(frames))
        sound = _decode_packet(codec, frames.between(first, last), last - first)
        mixed = samples[filled : filled + (last - first) * samples_a_frame]
        mix(sound.reshape(-1, channels), mixed)
        filled += len(mixed)
    return samples


def _decode_packet(codec, data, n_frames):
    """The samples of that many frames, one float32 a channel in turn; raises as its caller does.

    FFmpeg's own are freed with this call, and the next one uses their memory, which is cached.
    """
    sounds = codec.decode(av.Packet(data))
    if len(sounds) != n_frames:
        raise ValueError("a frame without sound")
    return np.frombuffer(b"".join([sound.planes[0] for sound in sounds]), np.float32)


def _decode_one_by_one(frames, samples_a_frame):
    """Frames of which some are broken, as in `_decode`. Raises UnknownFormat when all are."""
    codec, n_broken = _decoder(), 0
    samples = np.zeros((len(frames), samples_a_frame), np.float32)
    for number, mixed in enumerate(samples):
        try:
            (sound,) = codec.decode(av.Packet(frames.between(number, number + 1)))
            mixed[:] = sound.to_ndarray().reshape(samples_a_frame, -1).mean(axis=1)
        except (av.FFmpegError, ValueError):  # an error, no sound from it, or too little
            n_broken += 1
    if n_broken == len(frames):
        raise UnknownFormat("not audio that can be decoded")
    return samples.ravel()


def _decoder():
    """A decoder whose channels lie side by side, which they are mixed from in less time."""
    codec = CodecContext.create("mp3float", "r")
    codec.thread_count, codec.options = 1, {"request_sample_fmt": "flt"}
    return codec
