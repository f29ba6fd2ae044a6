"""Encoding samples into audio files of several formats, and tagging them."""

from dataclasses import dataclass

import av
import mutagen
import numpy as np
import soundfile
from mutagen import id3

BIT_RATE = 56_000  # bits per second
LOSSY_HEADROOM = 10 ** (-2.0 / 20)  # decoders of lossy formats overshoot the peaks

# Frames of ID3, which mutagen's easy interface lacks for WAV files and, in part, for MP3.
ID3_FRAMES = {
    "title": id3.TIT2,
    "artist": id3.TPE1,
    "album": id3.TALB,
    "genre": id3.TCON,
    "comment": id3.COMM,
}


@dataclass(frozen=True)
class Encoding:
    """How a suffix is encoded.

    rate : samples per second; n_channels : 1 or 2; container, codec : in the words of
    libsndfile or, with codec_options, of FFmpeg.
    """

    rate: int
    n_channels: int
    container: str
    codec: str
    codec_options: dict | None = None


# FFmpeg writes M4A, which libsndfile cannot, and MP3 and Opus faster at their least effort.
ENCODINGS = {
    "flac": Encoding(22050, 1, "FLAC", "PCM_16"),
    "mp3": Encoding(22050, 1, "mp3", "libmp3lame", {"compression_level": "9"}),
    "ogg": Encoding(22050, 1, "OGG", "VORBIS"),
    "m4a": Encoding(22050, 1, "ipod", "aac", {"aac_coder": "fast"}),
    "opus": Encoding(24000, 2, "opus", "libopus", {"compression_level": "0"}),
    "wav": Encoding(22050, 1, "WAV", "PCM_16"),
}

# Every style runs through the same cycle, so that no format gives a style away; there are few
# of the formats that take much room.
SUFFIX_CYCLE = (
    "flac", "mp3", "ogg", "m4a", "opus", "wav", "ogg", "m4a", "opus", "mp3", "opus",
)  # fmt: skip


def encode(path, samples):
    """Write samples, (n_channels, n_samples) float32, in the encoding of the path's suffix."""
    encoding = ENCODINGS[path.suffix[1:]]
    if encoding.codec != "PCM_16":
        samples = samples * np.float32(LOSSY_HEADROOM)
    if encoding.codec_options:
        _encode_by_ffmpeg(path, samples, encoding)
    else:
        soundfile.write(
            path, samples.T, encoding.rate, format=encoding.container, subtype=encoding.codec
        )


def _encode_by_ffmpeg(path, samples, encoding):
    layout = "stereo" if encoding.n_channels == 2 else "mono"
    with av.open(path, "w", format=encoding.container) as container:
        stream = container.add_stream(
            encoding.codec, rate=encoding.rate, options=encoding.codec_options
        )
        stream.layout, stream.bit_rate = layout, BIT_RATE
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout=layout)
        frame.sample_rate = encoding.rate
        for part in (frame, None):
            for packet in stream.encode(part):
                container.mux(packet)


def tag(path, tags):
    """Write tags into a file; tags maps title, artist, album, genre and comment to texts."""
    if path.suffix in (".mp3", ".wav"):
        file = mutagen.File(path)
        if file.tags is None:
            file.add_tags()
        for name, text in tags.items():
            file.tags.add(ID3_FRAMES[name](encoding=id3.Encoding.UTF8, text=text))
    else:
        file = mutagen.File(path, easy=True)
        file.update(tags)
    file.save()
