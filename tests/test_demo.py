"""The simulated library and its listeners behave as a real library's would, and repeatably."""

import csv
import re
from collections import Counter, defaultdict
from functools import partial

import av
import mutagen
import numpy as np
import pytest
import soundfile

from audiorec_cli.demo import library, mixing
from audiorec_cli.demo.library import DemoSettings
from audiorec_cli.demo.styles import STYLES, render
from audiorec_cli.workers import process_context, process_pool, starting_processes

SETTINGS = DemoSettings(tracks_per_style=6, new_releases_per_style=1, listeners=60, seconds=3.0)


@pytest.fixture(scope="module")
def tracks():
    return library.plan_library(SETTINGS)


@pytest.fixture(scope="module")
def folder(tracks, tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    for track in tracks:
        library.write_track(track, folder, SETTINGS)
    return folder


@pytest.fixture(scope="module")
def full_tracks():
    return library.plan_library(DemoSettings())


@pytest.fixture(scope="module")
def full_log(full_tracks):
    return library.simulate_listening(full_tracks, DemoSettings())


def decode(path):
    """Samples, (n_channels, n_samples), and rate of a file of any format."""
    if path.suffix != ".m4a":
        samples, rate = soundfile.read(path, always_2d=True)
        return samples.T, rate
    with av.open(path) as container:
        rate = container.streams.audio[0].rate
        return np.concatenate([f.to_ndarray() for f in container.decode(audio=0)], axis=1), rate


def test_every_style_comes_in_every_format_equally(full_tracks):
    formats = defaultdict(Counter)
    for track in full_tracks:
        formats[track.style][track.suffix] += 1
    assert set(formats) == set(STYLES)
    assert len({tuple(sorted(counts.items())) for counts in formats.values()}) == 1
    assert set(formats["House"]) == {"flac", "mp3", "ogg", "m4a", "opus", "wav"}


def test_every_file_decodes_to_its_length_without_clipping(tracks, folder):
    assert {track.suffix for track in tracks} == set(library.ENCODINGS)
    for track in tracks:
        samples, rate = decode(folder / track.path)
        assert samples.shape[1] / rate == pytest.approx(SETTINGS.seconds, abs=0.15), track
        assert np.isfinite(samples).all(), track
        assert np.abs(samples).max() <= 1.0, track
        assert np.abs(samples.mean(axis=1)).max() < 2e-3, track
        assert mixing.loud_rms(samples.mean(axis=0), rate) > 0.03, track


def test_files_hold_what_was_rendered(tracks, folder):
    track = next(track for track in tracks if track.suffix == "wav")
    samples, _ = decode(folder / track.path)
    assert np.allclose(samples, library.render_track(track, SETTINGS), atol=1e-4)


def test_tags_read_back(tracks, folder):
    for track in tracks:
        expected = {
            "title": track.title,
            "artist": track.artist,
            "album": f"{track.artist} (audiorec demo)",
            "genre": track.style,
        }
        tags = mutagen.File(folder / track.path, easy=True).tags
        if track.suffix == "wav":
            frames = {"title": "TIT2", "artist": "TPE1", "album": "TALB", "genre": "TCON"}
            read = {name: str(tags[frame]) for name, frame in frames.items()}
        else:
            read = {name: tags[name][0] for name in expected}
        assert read == expected


def test_every_file_says_that_it_is_synthesised(tracks, folder):
    for track in tracks:
        assert library.COMMENT in str(mutagen.File(folder / track.path).tags.pprint()), track


@pytest.mark.parametrize("style", STYLES)
def test_rendering_is_repeatable_and_varies(style):
    settings = {"artist_seed": 5, "seconds": 3.0, "rate": 8000, "n_channels": 1}
    first, again, other = (render(style, seed=seed, **settings) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.allclose(first, other, atol=0.01)


@pytest.mark.parametrize("style", STYLES)
def test_samples_are_sound_and_peak_below_minus_one_decibel(style):
    samples = render(style, seed=3, artist_seed=4, seconds=8.0, rate=22050, n_channels=2)
    assert samples.shape == (2, 8 * 22050)
    assert np.isfinite(samples).all()
    assert 0.3 < np.abs(samples).max() <= 1.0001 * mixing.PEAK
    assert np.abs(samples.mean(axis=1)).max() < 1e-3
    assert not np.array_equal(samples[0], samples[1])


def test_loudness_does_not_tell_the_style():
    levels = []
    for style in STYLES:
        samples = render(style, seed=1, artist_seed=2, seconds=12.0, rate=11025, n_channels=1)
        levels.append(20 * np.log10(mixing.loud_rms(samples[0], 11025)))
    assert max(levels) - min(levels) < 4.0


def test_the_sound_tells_the_style_across_artists():
    settings = {"seconds": 12.0, "rate": 11025, "n_channels": 1}
    spectra = np.array(
        [
            [
                _band_levels(render(style, seed=9 * a, artist_seed=a, **settings)[0])
                for a in (1, 2, 3)
            ]
            for style in STYLES
        ]
    )
    flat = spectra.reshape(-1, spectra.shape[-1])
    distance = np.linalg.norm(flat[:, None] - flat[None], axis=2)
    np.fill_diagonal(distance, np.inf)
    correct = distance.argmin(axis=1) // 3 == np.arange(len(flat)) // 3
    assert correct.mean() > 0.75


def _band_levels(samples):
    """Mean and deviation over time of the log levels of 32 bands, (64,)."""
    blocks = samples[: len(samples) // 1024 * 1024].reshape(-1, 1024)
    power = np.abs(np.fft.rfft(blocks * np.hanning(1024)))[:, 1:]
    levels = np.log(power.reshape(len(blocks), 32, -1).mean(axis=2) + 1e-3)
    return np.concatenate([levels.mean(axis=0), levels.std(axis=0)])


def test_the_plan_and_the_log_depend_on_the_seed_alone(tracks):
    assert library.plan_library(SETTINGS) == tracks
    log = library.simulate_listening(tracks, SETTINGS)
    assert library.simulate_listening(tracks, SETTINGS) == log
    other = DemoSettings(
        seed=1, tracks_per_style=6, new_releases_per_style=1, listeners=60, seconds=3.0
    )
    assert library.plan_library(other) != tracks
    assert library.simulate_listening(tracks, other) != log


def test_file_names_are_safe_and_unique_on_every_system(full_tracks):
    for track in full_tracks:
        assert re.fullmatch(
            r"audio(/[A-Za-z0-9][A-Za-z0-9 -]*){2}/[A-Za-z0-9 -]+\.\w+", str(track.path)
        )
    names = {str(track.path.with_suffix("")).casefold() for track in full_tracks}
    assert len(names) == len(full_tracks) == 8 * 22


def test_numbered_titles_stay_unique_in_a_large_library():
    tracks = library.plan_library(DemoSettings(tracks_per_style=200))
    assert len({(track.style, track.title) for track in tracks}) == 8 * 200


def test_new_releases_are_by_debut_artists_whom_nobody_has_played(full_tracks, full_log):
    played = {(artist, title) for _, artist, title, _ in full_log}
    new = [track for track in full_tracks if track.is_new_release]
    assert Counter(track.style for track in new) == dict.fromkeys(STYLES, 3)
    assert not played & {(track.artist, track.title) for track in new}
    assert not {track.artist for track in new} & {artist for artist, _ in played}


def test_every_other_track_has_listeners(full_tracks, full_log):
    listeners = Counter((artist, title) for _, artist, title, _ in full_log)
    released = [track for track in full_tracks if not track.is_new_release]
    assert all(listeners[track.artist, track.title] >= 8 for track in released)
    assert len(listeners) == len(released)


def test_a_few_listeners_still_cover_every_track(tracks):
    few = DemoSettings(tracks_per_style=6, new_releases_per_style=1, listeners=3, seconds=3.0)
    log = library.simulate_listening(tracks, few)
    listeners = Counter((artist, title) for _, artist, title, _ in log)
    assert len(listeners) == 8 * 5
    assert set(listeners.values()) == {3}


def test_tastes_are_mixtures_of_few_styles(full_tracks, full_log):
    style_of = {(track.artist, track.title): track.style for track in full_tracks}
    heard = defaultdict(Counter)
    for user, artist, title, plays in full_log:
        heard[user][style_of[artist, title]] += plays
    shares = np.array([[styles[style] for style in STYLES] for styles in heard.values()], float)
    shares = -np.sort(-shares / shares.sum(axis=1, keepdims=True), axis=1)
    assert len(heard) == 440
    assert np.median(shares[:, :3].sum(axis=1)) > 0.9
    assert np.mean(shares[:, 1] > 0.1) > 0.5


def test_plays_and_libraries_have_long_tails(full_log):
    plays = np.array([row[3] for row in full_log])
    per_listener = Counter(row[0] for row in full_log)
    per_track = np.array(list(Counter(row[2] for row in full_log).values()))
    assert plays.min() == 1
    assert plays.max() > 10 * np.median(plays)
    assert min(per_listener.values()) >= 10
    assert max(per_listener.values()) <= 61
    assert per_track.max() > 2 * per_track.min()


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_one_track_is_called_juicy_and_has_listeners(seed):
    settings = DemoSettings(seed=seed)
    tracks = library.plan_library(settings)
    (famous,) = [track for track in tracks if track.title == "Juicy"]
    assert famous.style == "Hip-Hop"
    log = library.simulate_listening(tracks, settings)
    assert sum(title == "Juicy" for _, _, title, _ in log) >= 8


def test_the_log_is_a_table_that_reads_back(tracks, tmp_path):
    rows = library.simulate_listening(tracks, SETTINGS)
    library.write_log(rows, tmp_path / "listens.tsv")
    with open(tmp_path / "listens.tsv", encoding="utf-8", newline="") as file:
        header, *read = csv.reader(file, delimiter="\t")
    assert header == ["user_id", "artist", "title", "plays"]
    assert [(user, artist, title, int(plays)) for user, artist, title, plays in read] == rows
    assert rows[0][0] == "listener-0001"


def test_the_readme_says_what_is_simulated_and_what_to_run(tmp_path):
    library.write_readme(tmp_path, SETTINGS)
    text = (tmp_path / "README.txt").read_text(encoding="utf-8")
    assert "simulated" in text and "48 tracks in 8 styles" in text
    for command in ("mels ./audio out.h5", "factorize listens.tsv", 'similar "Juicy" -k 10'):
        assert f"audiorec {command}" in text


def test_another_process_writes_the_same_samples(tracks, folder, tmp_path):
    track = next(track for track in tracks if track.suffix == "flac")
    write = partial(library.write_track, folder=tmp_path, settings=SETTINGS)
    context = process_context([library.__name__])
    with process_pool(context, 1) as pool, starting_processes(context):
        (path,) = pool.map(write, [track])
    assert path == tmp_path / track.path
    assert np.array_equal(decode(path)[0], decode(folder / track.path)[0])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("seed", -1),
        ("tracks_per_style", 1),
        ("tracks_per_style", 201),
        ("new_releases_per_style", -1),
        ("new_releases_per_style", 22),
        ("listeners", 0),
        ("seconds", 0.5),
        ("seconds", float("nan")),
    ],
)
def test_settings_out_of_range_are_refused(name, value):
    with pytest.raises(ValueError, match=name):
        DemoSettings(**{name: value})
