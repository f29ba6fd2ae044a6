"""Every format people keep gives its middle; everything else gives a reason."""

import io
import os
import tracemalloc
from types import SimpleNamespace

import av
import librosa
import numpy as np
import pytest
import soundfile

from audiorec_cli.audio.analysis import analyse
from audiorec_cli.audio.decode import Undecodable, read_excerpts
from audiorec_cli.audio.settings import SpectrogramSettings
from audiorec_cli.audio.spectrogram import log_mel_spectrogram
from audiorec_cli.audio.with_av import AvSound
from audiorec_cli.audio.with_graph import GraphSound
from audiorec_cli.records import Failure

SETTINGS = SpectrogramSettings()


def middle(path):
    """The Excerpt in the middle of a file, and the file's duration."""
    excerpts = []
    duration_s, _ = read_excerpts(
        path,
        excerpts.append,
        starts=lambda duration_s: [max(0, duration_s - 30) / 2],
        seconds=30.0,
        sample_rate=22_050,
    )
    (excerpt,) = excerpts
    return SimpleNamespace(**excerpt._asdict(), duration_s=duration_s)


def write_with_av(
    path, samples, *, container, codec, rate=44_100, bit_rate=128_000, layout="mono", options=None
):
    with av.open(str(path), "w", format=container, options=options) as file:
        stream = file.add_stream(codec, rate=rate)
        stream.bit_rate = bit_rate
        stream.layout = layout
        packed = samples.astype(np.float32).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(packed, "flt", layout)
        frame.sample_rate = rate
        fifo = av.AudioFifo()
        for piece in av.AudioResampler(format=stream.format.name, layout=layout).resample(frame):
            fifo.write(piece)
        size = stream.codec_context.frame_size or 1024
        while (piece := fifo.read(size, partial=True)) is not None:
            file.mux(stream.encode(piece))
        file.mux(stream.encode(None))


def loudest_hz(excerpt):
    spectrum = np.abs(np.fft.rfft(excerpt.samples))
    return spectrum.argmax() * 22_050 / len(excerpt.samples)


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3", "aiff", "au", "w64"])
def test_formats_of_soundfile(tmp_path, write_tone, suffix):
    path = write_tone(tmp_path / f"a.{suffix}", seconds=50)
    excerpt = middle(path)
    assert excerpt.samples.shape == (661_500,)
    assert excerpt.samples.dtype == np.float32
    assert excerpt.duration_s == pytest.approx(50, abs=0.1)
    assert excerpt.start_s == pytest.approx(10, abs=0.1)
    assert loudest_hz(excerpt) == pytest.approx(440, abs=1)


@pytest.mark.parametrize(
    ("suffix", "container", "codec"),
    [
        ("m4a", "ipod", "aac"),
        ("m4a", "ipod", "alac"),
        ("wma", "asf", "wmav2"),
        ("aac", "adts", "aac"),
        ("mka", "matroska", "flac"),
        ("mp4", "mp4", "aac"),
    ],
)
def test_formats_of_av(tmp_path, tone, suffix, container, codec):
    path = tmp_path / f"a.{suffix}"
    half = tone(25, hz=300, sample_rate=44_100), tone(25, hz=900, sample_rate=44_100)
    write_with_av(path, np.concatenate(half), container=container, codec=codec)
    excerpt = middle(path)
    assert excerpt.samples.shape == (661_500,)
    assert excerpt.start_s == pytest.approx(10, abs=0.5)
    first, last = np.split(excerpt.samples[: 661_500 // 2 * 2], 2)
    for part, hz in ((first, 300), (last, 900)):
        spectrum = np.abs(np.fft.rfft(part))
        assert spectrum.argmax() * 22_050 / len(part) == pytest.approx(hz, abs=2)


@pytest.mark.parametrize("layout", ["stereo", "5.1", "7.1"])
@pytest.mark.parametrize(
    ("container", "codec"),
    [("ipod", "aac"), ("ogg", "libopus"), ("mov", "pcm_s16le"), ("matroska", "flac")],
)
def test_channels_are_averaged_in_every_container(tmp_path, tone, container, codec, layout):
    n_channels = av.AudioLayout(layout).nb_channels
    sound = tone(8, sample_rate=48_000, channels=n_channels)
    sound[:, 2:] /= 4
    write_with_av(tmp_path / "a", sound, container=container, codec=codec, rate=48_000,
                  bit_rate=400_000, layout=layout)  # fmt: skip
    excerpt = middle(tmp_path / "a")
    assert loudest_hz(excerpt) == pytest.approx(440, abs=1)
    level, expected = (
        np.sqrt(np.mean(x**2)) for x in (excerpt.samples[: 8 * 22_050], sound.mean(1))
    )
    assert level == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize(
    ("container", "codec", "starts"),
    [
        ("ogg", "libopus", [0.0, 10.123, 19.9]),
        ("ogg", "flac", [0.0, 10.123, 19.9]),
        ("mp4", "alac", [0.0, 10.123, 19.9]),
        # at the very beginning only the graph decodes what AAC leans on
        ("ipod", "aac", [0.5, 10.123, 19.9]),
    ],
)
def test_a_graph_gives_what_frame_after_frame_gives(tmp_path, tone, container, codec, starts):
    noise = np.random.default_rng(0).normal(size=(20 * 48_000, 2)) / 10
    sound = noise + tone(20, sample_rate=48_000, channels=2)
    write_with_av(tmp_path / "a", sound, container=container, codec=codec, rate=48_000,
                  layout="stereo")  # fmt: skip
    for start_s in starts:
        read = []
        for sound_of in (GraphSound, AvSound):
            with open(tmp_path / "a", "rb", buffering=0) as file, sound_of(file) as opened:
                read.append((opened.duration_s, *opened.read(start_s, 7.5)))
        (duration_s, samples, began), (expected_s, expected, expected_began) = read
        assert (duration_s, began) == (expected_s, expected_began)
        np.testing.assert_allclose(samples, expected, atol=1e-6)


@pytest.mark.parametrize(("container", "codec"), [("adts", "aac"), ("ogg", "flac")])
def test_sound_whose_rate_changes_is_refused_by_all(tmp_path, tone, container, codec):
    path, parts = tmp_path / "a", []
    for rate in (44_100, 48_000):
        write_with_av(path, tone(20, sample_rate=rate), container=container, codec=codec, rate=rate)
        parts.append(path.read_bytes())
    path.write_bytes(b"".join(parts))
    with pytest.raises(Undecodable, match="changes its sample rate"):
        middle(path)


def test_mp3_of_varying_bit_rate_without_a_header_has_its_true_middle(tmp_path, tone):
    """By its first frames it would last eight times as long as by its last."""
    parts = []
    for name, hz, bit_rate in (("a", 300, 32_000), ("b", 900, 256_000)):
        path, samples = tmp_path / name, tone(40, hz=hz, sample_rate=44_100)
        write_with_av(
            path, samples, container="mp3", codec="libmp3lame", bit_rate=bit_rate,
            options={"write_xing": "0", "id3v2_version": "0"},
        )  # fmt: skip
        parts.append(path.read_bytes())
    excerpt = middle(write_bytes(tmp_path / "a.mp3", b"".join(parts)))
    assert excerpt.duration_s == pytest.approx(80, abs=0.2)
    first, last = np.split(excerpt.samples[: 661_500 // 2 * 2], 2)
    for part, hz in ((first, 300), (last, 900)):
        spectrum = np.abs(np.fft.rfft(part))
        assert spectrum.argmax() * 22_050 / len(part) == pytest.approx(hz, abs=2)


@pytest.mark.parametrize("name", [b"~", b"~root", b"\xff", "\u266b".encode(), b"a\nb", b"-"])
def test_a_name_is_only_a_name(tmp_path, monkeypatch, write_tone, name):
    monkeypatch.chdir(tmp_path)
    write_tone("a.flac").rename(os.fsdecode(name))
    assert loudest_hz(middle(os.fsdecode(name))) == pytest.approx(440, abs=1)


def test_mpeg_that_is_no_mp3_lasts_as_long_as_its_frames(tmp_path, tone):
    """Not as long as the bit rate of the first lets one guess."""
    parts = []
    for bit_rate in (64_000, 256_000):
        path = tmp_path / str(bit_rate)
        samples = tone(20, sample_rate=44_100)
        write_with_av(path, samples, container="mp2", codec="mp2", bit_rate=bit_rate)
        parts.append(path.read_bytes())
    excerpt = middle(write_bytes(tmp_path / "a.mp3", b"".join(parts)))
    assert excerpt.duration_s == pytest.approx(40, abs=0.1)


def test_the_suffix_does_not_matter(tmp_path, write_tone):
    write_tone(tmp_path / "a.flac").rename(tmp_path / "a.TXT")
    assert loudest_hz(middle(tmp_path / "a.TXT")) == pytest.approx(440, abs=1)


def test_only_the_middle_is_taken(tmp_path, tone):
    quiet, loud = np.zeros(22_050 * 20, np.float32), tone(30)
    soundfile.write(tmp_path / "a.wav", np.concatenate([quiet, loud, quiet]), 22_050)
    excerpt = middle(tmp_path / "a.wav")
    assert excerpt.start_s == 20
    np.testing.assert_allclose(excerpt.samples, loud, atol=1e-4)


@pytest.mark.parametrize("channels", [2, 6, 8])
@pytest.mark.parametrize("sample_rate", [8_000, 44_100, 192_000])
def test_channels_are_averaged_at_any_rate(tmp_path, tone, channels, sample_rate):
    sound = tone(8, sample_rate=sample_rate, channels=channels)
    sound[:, 1] = -sound[:, 0]  # two of them cancel
    soundfile.write(tmp_path / "a.wav", sound, sample_rate)
    excerpt = middle(tmp_path / "a.wav")
    expected = 0.4 / np.sqrt(2) * (channels - 2) / channels
    played = excerpt.samples[2_000 : 7 * 22_050]
    assert np.sqrt(np.mean(played**2)) == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
def test_sample_formats(tmp_path, tone, subtype):
    soundfile.write(tmp_path / "a.wav", tone(5), 22_050, subtype=subtype)
    np.testing.assert_allclose(middle(tmp_path / "a.wav").samples[: 5 * 22_050], tone(5), atol=0.01)


def test_a_short_track_is_padded_with_silence(tmp_path, write_tone):
    excerpt = middle(write_tone(tmp_path / "a.wav", seconds=10))
    assert excerpt.duration_s == excerpt.sound_s == 10
    assert excerpt.samples[: 10 * 22_050].any()
    assert not excerpt.samples[10 * 22_050 :].any()


def test_mel_of_a_file_is_librosas_of_its_middle(tmp_path, tone):
    soundfile.write(tmp_path / "a.flac", tone(50, sample_rate=44_100), 44_100)
    ours = log_mel_spectrogram(middle(tmp_path / "a.flac").samples, SETTINGS)
    samples, _ = librosa.load(tmp_path / "a.flac", sr=22_050, offset=10, duration=30)
    theirs = log_mel_spectrogram(samples, SETTINGS)
    np.testing.assert_allclose(ours, theirs, atol=1e-3)


def write_bytes(path, content):
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"this is not audio\n" * 500,
        b"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nhttp://127.0.0.1:9/x.mp3\n",
        b"ffconcat version 1.0\nfile other.wav\n",
        b"\x89PNG\r\n\x1a\n" + bytes(2000),
        b"\x89HDF\r\n\x1a\n" + bytes(2000),
        bytes(65_536),
    ],
)
def test_what_is_no_audio_is_refused(tmp_path, content):
    with pytest.raises(Undecodable, match=r"decoded|no audio"):
        middle(write_bytes(tmp_path / "a.mp3", content))


def test_a_playlist_leads_nowhere(tmp_path, write_tone):
    write_tone(tmp_path / "other.wav")
    listed = b"#EXTM3U\n#EXT-X-TARGETDURATION:32\n#EXTINF:32,\nother.wav\n#EXT-X-ENDLIST\n"
    with pytest.raises(Undecodable):
        middle(write_bytes(tmp_path / "a.mp3", listed))


def test_samples_that_are_no_numbers_are_refused(tmp_path):
    broken = np.full(22_050 * 5, 0.1, np.float32)
    broken[1000] = np.nan
    soundfile.write(tmp_path / "a.wav", broken, 22_050, subtype="FLOAT")
    outcome = analyse("a.wav", folder=tmp_path, settings=SETTINGS, excerpts=1)
    assert isinstance(outcome, Failure)
    assert "not finite" in outcome.reason


def test_under_three_seconds_is_refused(tmp_path, write_tone):
    with pytest.raises(Undecodable, match=r"shorter than 3 seconds"):
        middle(write_tone(tmp_path / "a.wav", seconds=2.9))


def test_what_would_never_end_is_refused(tmp_path):
    os.mkfifo(tmp_path / "fifo.wav")
    for path in (tmp_path / "fifo.wav", "/dev/zero", tmp_path):
        with pytest.raises(Undecodable, match=r"regular file"):
            middle(path)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError):
        middle(tmp_path / "a.wav")


def test_a_header_that_claims_gigabytes_costs_nothing(tmp_path, tone):
    buffer = io.BytesIO()
    soundfile.write(buffer, tone(4), 22_050, format="WAV")
    lying = bytearray(buffer.getvalue())
    lying[4:8] = lying[40:44] = b"\xfe\xff\xff\xff"
    path = write_bytes(tmp_path / "a.wav", bytes(lying))
    tracemalloc.start()
    try:
        middle(path)
    except Undecodable as error:
        assert "shorter" in str(error)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 30 * 2**20


def test_flac_that_does_not_tell_its_length_is_counted(tmp_path, tone):
    """As programs write it that send it through a pipe."""
    soundfile.write(tmp_path / "a.flac", tone(50), 22_050)
    piped = bytearray((tmp_path / "a.flac").read_bytes())
    piped[21] &= 0xF0
    piped[22:26] = bytes(4)
    excerpt = middle(write_bytes(tmp_path / "b.flac", bytes(piped)))
    assert excerpt.duration_s == pytest.approx(50, abs=0.1)
    np.testing.assert_allclose(excerpt.samples, tone(50)[10 * 22_050 : 40 * 22_050], atol=1e-3)
