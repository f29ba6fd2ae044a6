"""MP3 that is cut by its frames sounds as when another library decodes all of it."""

import functools
import io
import os
import tracemalloc

import av
import numpy as np
import pytest
import soundfile

from audiorec_cli.audio.mp3 import Mp3Sound
from audiorec_cli.audio.sound import UnknownFormat

SECONDS = 20


def music(rate, channels, seconds):
    """Chords in noise that swells, (n, channels) float32: no frame is like another."""
    rng, t = np.random.default_rng(0), np.arange(seconds * rate) / rate
    chord = sum(np.sin(2 * np.pi * hz * t * (1 + t / 99)) for hz in (220, 277, 330)) / 8
    noise = rng.normal(size=(len(t), channels)) * (1 + np.sin(t))[:, None] / 30
    return (chord[:, None] + noise).astype(np.float32)


@functools.cache
def encoded(rate, channels, bit_rate, seconds=SECONDS, **options):
    """The bytes of music encoded by LAME; without a bit rate at a varying one."""
    content = io.BytesIO()
    layout = "stereo" if channels == 2 else "mono"
    with av.open(content, "w", format="mp3", options=options) as file:
        stream = file.add_stream("libmp3lame", rate=rate, layout=layout, format="fltp")
        if bit_rate:
            stream.bit_rate = bit_rate
        else:
            stream.options = {"qscale": "2"}
            stream.codec_context.qscale = True
        samples = np.ascontiguousarray(music(rate, channels, seconds).T)
        frame = av.AudioFrame.from_ndarray(samples, "fltp", layout)
        frame.sample_rate = rate
        fifo = av.AudioFifo()
        fifo.write(frame)
        while (
            piece := fifo.read(stream.codec_context.frame_size or 1152, partial=True)
        ) is not None:
            file.mux(stream.encode(piece))
        file.mux(stream.encode(None))
    return content.getvalue()


def read(content, start_s, seconds):
    with Mp3Sound(io.BytesIO(content)) as sound:
        return sound.read(start_s, seconds)[0], sound


@pytest.mark.parametrize("start_s", [0, 0.5, 7.3, 18])
@pytest.mark.parametrize(
    ("rate", "channels", "bit_rate"),
    [
        (44_100, 2, 128_000),
        (44_100, 2, 320_000),
        (44_100, 2, None),
        (48_000, 1, 64_000),
        (32_000, 2, 320_000),
        (22_050, 2, 64_000),
        (16_000, 1, 24_000),
        (11_025, 1, 16_000),
        (8_000, 1, 8_000),
    ],
)
def test_samples_are_those_of_libsndfile(rate, channels, bit_rate, start_s):
    content = encoded(rate, channels, bit_rate)
    ours, sound = read(content, start_s, 5)
    with soundfile.SoundFile(io.BytesIO(content)) as file:
        assert (sound.rate, sound.duration_s) == (file.samplerate, file.frames / file.samplerate)
        # not by seeking: then it gets the first frames of low bit rates wrong
        theirs = file.read(dtype="float32", always_2d=True).mean(axis=1)[round(start_s * rate) :]
    theirs = theirs[: 5 * rate]
    assert len(ours) == len(theirs) == min(5 * rate, round((SECONDS - start_s) * rate))
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


@pytest.fixture(scope="module")
def mp3():
    """The bytes of an MP3 without a tag, and its samples, mono."""
    content = encoded(44_100, 2, 128_000, id3v2_version="0")
    assert content[0] == 0xFF
    return content, read(content, 0, SECONDS)[0]


def id3(n_bytes):
    size = bytes(n_bytes >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\x04\x00\x00" + size + bytes(n_bytes)


@pytest.mark.parametrize("padding", [b"", bytes(3000), b"\xff" * 100])
def test_what_stands_before_the_sound_is_passed_over(mp3, padding):
    content, samples = mp3
    heard, _ = read(id3(2_000_000) + padding + content, 0, SECONDS)
    np.testing.assert_array_equal(heard, samples)


def test_what_stands_behind_the_sound_is_no_sound(mp3):
    content, _ = mp3
    without_header = content[content.index(b"\xff\xfb", 4) :]
    _, sound = read(without_header + b"TAG" + bytes(125) + b"\xff\xfb\x90\x00junk", 0, 1)
    assert sound.duration_s == pytest.approx(SECONDS, abs=0.1)


@pytest.mark.parametrize("block_bytes", [1 << 14, 1 << 15, 1 << 20])
def test_sound_goes_on_behind_bytes_that_are_none(mp3, monkeypatch, block_bytes):
    monkeypatch.setattr("audiorec_cli.audio.mp3.BLOCK_BYTES", block_bytes)
    content, samples = mp3
    for n_lost in range(0, 20_000, 3000):
        without = content[:100_000] + b"\xff\xfb" * (n_lost // 2) + content[100_000:]
        _, sound = read(without, 0, 1)
        assert sound.duration_s == pytest.approx(SECONDS, abs=0.06)
    half = content.index(b"\xff\xfb", len(content) // 2)
    heard, sound = read(
        content[:half] + b"\xff\xfbno frames here" * 50 + content[half:], 0, SECONDS
    )
    assert sound.duration_s == pytest.approx(SECONDS, abs=0.1)
    for part in (slice(0, 9 * 44_100), slice(11 * 44_100, 19 * 44_100)):
        np.testing.assert_allclose(heard[part], samples[part], atol=1e-5)


def test_frames_that_are_broken_are_silent_and_the_others_keep_their_places(mp3):
    content, samples = mp3
    broken = bytearray(content)
    middle = content.index(b"\xff\xfb", len(content) // 2)
    broken[middle + 4 : middle + 400] = b"\xaa" * 396
    heard, _ = read(bytes(broken), 0, SECONDS)
    assert len(heard) == len(samples)
    for part in (slice(0, 9 * 44_100), slice(11 * 44_100, 19 * 44_100)):
        np.testing.assert_allclose(heard[part], samples[part], atol=1e-5)


@pytest.mark.parametrize("n_first", [1, 2])
def test_channels_that_change_within_a_stream_are_mixed_frame_by_frame(n_first):
    first, second = (
        encoded(44_100, n, 64_000, seconds=4, id3v2_version="0") for n in (n_first, 3 - n_first)
    )
    heard, sound = read(first + second, 0, 8)
    assert sound.duration_s == pytest.approx(8, abs=0.2)
    np.testing.assert_allclose(heard[: 3 * 44_100], read(first, 0, 3)[0], atol=1e-5)
    assert np.abs(heard[5 * 44_100 : 7 * 44_100]).mean() > 0.01


def test_a_gigabyte_of_nothing_between_frames_is_not_kept(tmp_path, mp3):
    content, _ = mp3
    half = content.index(b"\xff\xfb", len(content) // 2)
    with open(tmp_path / "a.mp3", "wb") as file:
        file.write(content[:half])
        file.seek(1 << 30, os.SEEK_CUR)
        file.write(content[half:])
    with open(tmp_path / "a.mp3", "rb", buffering=0) as file, Mp3Sound(file) as sound:
        tracemalloc.start()
        heard, _ = sound.read(0, SECONDS)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert len(heard) == pytest.approx(SECONDS * 44_100, abs=2000)
    assert peak < 50 * 2**20


def test_a_file_that_shrinks_ends_where_it_does(tmp_path, mp3):
    content, samples = mp3
    (tmp_path / "a.mp3").write_bytes(content)
    with open(tmp_path / "a.mp3", "rb", buffering=0) as file, Mp3Sound(file) as sound:
        sound.read(18, 2)
        os.truncate(tmp_path / "a.mp3", len(content) // 2)
        heard, _ = sound.read(0, SECONDS)
    np.testing.assert_allclose(heard[: 9 * 44_100], samples[: 9 * 44_100], atol=1e-5)


@pytest.mark.parametrize("n_frames", [None, 0, 700])
def test_a_count_of_frames_is_taken_where_it_can_be(mp3, n_frames):
    """And none is as good as one that is not told."""
    content, _ = mp3
    patched = bytearray(content)
    place = content.index(b"Info") + 8
    if n_frames is not None:
        patched[place : place + 4] = n_frames.to_bytes(4, "big")
    _, sound = read(bytes(patched), 0, 1)
    told_s = (n_frames or 767) * 1152 / 44_100
    assert sound.duration_s == pytest.approx(told_s, abs=0.1)


@pytest.mark.parametrize("fits", [True, False])
def test_fraunhofers_count_of_frames_is_known(mp3, fits):
    content, _ = mp3
    second = content.index(b"\xff\xfb", 4)
    told_bytes = len(content) if fits else len(content) // 2
    header = b"VBRI" + bytes(6) + told_bytes.to_bytes(4, "big") + (700).to_bytes(4, "big")
    frame = content[:36] + header + bytes(second - 36 - len(header))
    _, sound = read(frame + content[second:], 0, 1)
    assert sound.duration_s == pytest.approx((700 if fits else 767) * 1152 / 44_100, abs=0.1)


def test_files_joined_together_last_as_long_as_all_of_them(mp3):
    """Though the first one's header tells of itself alone."""
    content, _ = mp3
    _, sound = read(content * 3, 0, 1)
    assert sound.duration_s == pytest.approx(3 * SECONDS, abs=0.3)


def test_a_file_that_was_cut_off_lasts_as_long_as_what_is_left(mp3):
    content, samples = mp3
    heard, sound = read(content[: len(content) // 2], 0, SECONDS)
    assert sound.duration_s == pytest.approx(SECONDS / 2, abs=0.1)
    np.testing.assert_allclose(heard[: 9 * 44_100], samples[: 9 * 44_100], atol=1e-5)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"ID3",
        id3(1_000),
        b"\xff" * 100_000,
        b"\xff\xfb\x90\x64" + bytes(10_000),
        id3(2**28 - 1)[:20],
    ],
)
def test_what_is_no_mp3_is_refused(content):
    with pytest.raises(UnknownFormat):
        read(content, 0, 1)
