"""How well `audiorec outliers` finds what is no song: python tests/bench/outliers.py AUDIO LOG

Among the songs of a folder others are planted, under the names of artists with three songs or more:
noise (white, pink, brown, hum), speech, intros (the beginning of a song of the artist, low and
fading in, or a drone), interludes (a few scattered sounds of such a song, or something like wind,
water and birds) and, apart from these, songs of artists to whom others listen. All are as loud as
the songs, in one format with them if these are OGG, and 10 to 40 s long. The log is one of artists,
so the planted are played by whoever plays the artist. The default network is trained with them
among its training tracks, and predicts all.

Printed is the area under the ROC curve with which scores tell what was planted from the songs: that
of the command; what each part of it is worth alone, and without knowing who listens to what; the
cosine of predicted and listened factors; and, to be beaten, the distance of a track's mean mel
spectrum from the mean of its artist's other tracks. Songs of artists without another are left out,
as they have none of these. The areas are means over the seeds, of planting and of training, with
95 % intervals over tracks. Below stands how many songs, all of them, and how many of the planted
have which score, and how the network's fit to tracks that it was trained on shows.

Speech is taken from a folder of recordings, else spoken by espeak-ng if that is installed, else
made of pulses, noise and formants.
"""

import argparse
import functools
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import numpy as np
import soundfile
import soxr
from scipy.signal import butter, fftconvolve, lfilter, sosfilt

from audiorec_cli import files
from audiorec_cli.cli import main as audiorec
from audiorec_cli.commands.joining import listened
from audiorec_cli.commands.outlying import WEIGHTS
from audiorec_cli.demo.encoding import LOSSY_HEADROOM, encode, tag
from audiorec_cli.names import normalised
from audiorec_cli.retrieval.outliers import outlier_scores

RATE = 22_050
NO_SONGS = ("noise", "speech", "intro", "interlude")
KINDS = (*NO_SONGS, "stranger")
FEWEST_SONGS = 3  # of an artist who gets something planted
THRESHOLDS = (1.5, 2.0, 2.5)
RESAMPLES = 1000
# of American men, from Peterson and Barney, "Control methods used in a study of the vowels", 1952
FORMANTS = np.array([
    (270, 2290, 3010), (390, 1990, 2550), (530, 1840, 2480), (660, 1720, 2410), (730, 1090, 2440),
    (570, 840, 2410), (440, 1020, 2240), (300, 870, 2240), (640, 1190, 2390), (490, 1350, 1690),
])  # fmt: skip
BANDWIDTHS = (60, 90, 150)  # Hz
VOICES = ("en-us", "en-gb", "de", "fr", "es", "it", "en-us+f2", "en-gb+f3", "de+f4", "fr+m3")
SENTENCES = re.split(r"(?<=[.:,;])\s+", __doc__)


def main():
    arguments = _arguments()
    with tempfile.TemporaryDirectory() as temporary:
        folder = (arguments.keep or Path(temporary)).absolute()
        runs = [_run(arguments, folder / f"seed-{seed}", seed) for seed in range(arguments.seeds)]
    _print_areas(runs)
    _print_shares(runs)
    _print_fit(runs)


def _arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("audio", type=Path, help="folder of songs, tagged with their artists")
    parser.add_argument("log", type=Path, help="listening log, of artists")
    parser.add_argument("--each", type=int, default=8, help="to plant of each kind")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--speech", type=Path, help="folder of recordings of speech")
    parser.add_argument("--keep", type=Path, help="folder for the files; a stopped run goes on")
    return parser.parse_args()


def _run(arguments, place, seed):
    """Plant, train, predict and score: {column: (n,) array}, the scores of all kinds among them."""
    if not (place / "predictions.h5").exists():
        _make(arguments, place, seed)
    predicted = files.load_predictions(place / "predictions.h5")
    if predicted.mel_statistics is None:
        sys.exit(f"{place / 'predictions.h5'} is of an older version: delete it")
    factors = files.load_factors(place / "factors.h5")
    tracks, places = predicted.tracks, listened(predicted.tracks, factors).factors
    vectors, statistics = predicted.predicted_factors, predicted.mel_statistics.astype(np.float64)
    shuffled = np.random.default_rng(seed).permutation(places)
    artists = [normalised(artist) for artist in tracks.artist]
    trained_on = set(files.load_checkpoint(place / "model.h5").split["train"])
    return {
        "kind": np.array([_kind_of(path) for path in tracks.path]),
        "trained on": np.array([name in trained_on for name in tracks.track_id]),
        "outliers": outlier_scores(places, [vectors, statistics], WEIGHTS),
        "outliers, by mel statistics alone": outlier_scores(places, [statistics]),
        "outliers, by predicted factors alone": outlier_scores(places, [vectors]),
        "outliers, places in listening shuffled": outlier_scores(
            shuffled, [vectors, statistics], WEIGHTS
        ),
        "1 − cosine of predicted and listened": 1 - (vectors * places).sum(axis=1),
        "distance to the artist's mean mel": _distances(statistics, artists),
    }


def _kind_of(path):
    return path.split("/")[1] if path.startswith("planted/") else "song"


def _distances(statistics, artists):
    """Euclidean distance of each track's mean mel from that of the artist's others; NaN for one."""
    mels, rows_of = np.split(statistics, 2, axis=1)[0], defaultdict(list)
    for row, artist in enumerate(artists):
        rows_of[artist].append(row)
    distances = np.full(len(mels), np.nan)
    for rows in rows_of.values():
        if len(rows) > 1:
            others = (mels[rows].sum(axis=0) - mels[rows]) / (len(rows) - 1)
            distances[rows] = np.linalg.norm(mels[rows] - others, axis=1)
    return distances


def _make(arguments, place, seed):
    """A library with planted tracks, and all that commands make of it, in a folder."""
    library = place / "library"
    shutil.rmtree(place, ignore_errors=True)
    library.mkdir(parents=True)
    (library / "songs").symlink_to(arguments.audio.absolute())
    here = os.getcwd()
    log = arguments.log.absolute()
    speech = arguments.speech and arguments.speech.absolute()
    os.chdir(place)
    try:
        _ran("mels", "library", "mels.h5")
        _ran("factorize", log, "factors.h5")
        _plant(library, arguments.each, speech, np.random.default_rng(seed))
        _ran("mels", "library", "mels.h5")
        _ran("train", "--match", "artist", "--device", "cpu", "--seed", seed)
        _ran("predict", "--device", "cpu")
    finally:
        os.chdir(here)


def _ran(*arguments):
    status = audiorec([str(argument) for argument in arguments])
    if status:
        raise SystemExit(status)


def _plant(library, each, speech, rng):
    """Write `each` tracks of each kind under the names of artists with songs that the log knows."""
    tracks, factors = files.load_mels("mels.h5").tracks, files.load_factors("factors.h5")
    places, rows_of = listened(tracks, factors).factors, defaultdict(list)
    for row in np.flatnonzero(places.any(axis=1)):
        rows_of[normalised(tracks.artist[row])].append(row)
    of_many = [rows for rows in rows_of.values() if len(rows) >= FEWEST_SONGS]
    if len(of_many) < each * len(KINDS):
        raise SystemExit(f"{len(of_many)} artists with {FEWEST_SONGS} songs: plant --each fewer")
    say = functools.partial(_speech, folder=speech)
    makers = dict(zip(NO_SONGS, (_noise, say, _intro, _interlude), strict=True))
    chosen = iter(rng.permutation(len(of_many)))
    for kind in KINDS:
        for number in range(each):
            row = rng.choice(of_many[next(chosen)])
            song = _read(library / tracks.path[row])
            if kind == "stranger":
                others = rng.choice(np.flatnonzero(places.any(axis=1)), 10)
                farthest = others[(places[others] @ places[row]).argmin()]
                samples = _read(library / tracks.path[farthest])
            else:
                samples = makers[kind](rng, song)
            out = library / "planted" / kind / f"{number}.ogg"
            out.parent.mkdir(parents=True, exist_ok=True)
            _write(out, samples, song.std(), {"artist": tracks.artist[row], "title": out.stem})


def _read(path):
    samples, rate = soundfile.read(path, dtype="float64", always_2d=True)
    return soxr.resample(samples.mean(axis=1), rate, RATE)


def _write(path, samples, level, tags):
    samples = samples * level / samples.std() / LOSSY_HEADROOM
    encode(path, np.clip(samples, -1, 1).astype(np.float32)[None])
    tag(path, tags)


def _some(rng, low, high):
    """A random number of samples, between some seconds."""
    return int(rng.uniform(low, high) * RATE)


def _noise(rng, _):
    n = _some(rng, 15, 40)
    slope = rng.integers(4)
    if slope < 3:
        return _coloured(rng, n, slope)
    t = np.arange(n) / RATE
    mains, harmonics = rng.choice([50, 60]), np.arange(1, 16)
    waves = (np.sin(2 * np.pi * (mains * k * t + rng.random())) / k for k in harmonics)
    return sum(rng.uniform(0.2, 1) * wave for wave in waves) + 0.1 * rng.normal(size=n)


def _coloured(rng, n, slope):
    """Noise whose power falls with the frequency to the power of `slope`, above 20 Hz."""
    frequencies = np.maximum(np.fft.rfftfreq(n, 1 / RATE), 20)
    noise = np.fft.irfft(np.fft.rfft(rng.normal(size=n)) * frequencies ** (-slope / 2), n)
    return noise / noise.std()


def _intro(rng, song):
    if rng.random() < 0.5:
        samples = song[: _some(rng, 10, 30)]
        low = butter(4, rng.uniform(300, 1500), fs=RATE, output="sos")
        return sosfilt(low, samples) * np.linspace(0, 1, len(samples)) ** 2
    t = np.arange(_some(rng, 15, 40)) / RATE
    base, drone = 55 * 2 ** (rng.integers(24) / 12), np.zeros(len(t))
    for ratio in ((1,), (1, 1.5), (1, 2), (1, 1.5, 2))[rng.integers(4)]:
        for k in range(1, 9):
            for detuned in (0.997, 1, 1.003):
                wave = np.sin(2 * np.pi * (base * ratio * k * detuned * t + rng.random()))
                drone += wave * k**-1.5 * (1 + 0.5 * np.sin(2 * np.pi * rng.uniform(0.05, 0.3) * t))
    return drone * np.minimum(1, np.minimum(t, t[::-1]) / 4)


def _interlude(rng, song):
    n = _some(rng, 15, 40)
    if rng.random() < 0.5:
        sounds, tail = np.zeros(n), np.exp(-np.arange(2 * RATE) / RATE * 3)
        for _ in range(rng.integers(4, 12)):
            _add(rng, sounds, _cut(rng, song, _some(rng, 0.2, 0.8)))
        return sounds + 0.02 * fftconvolve(sounds, tail * rng.normal(size=len(tail)))[:n]
    gusts = np.interp(np.arange(n) / RATE, np.arange(0, 42, 2), rng.uniform(0.2, 1, 21))
    field = _coloured(rng, n, rng.uniform(1, 2)) * gusts
    for _ in range(rng.integers(5, 40) * (rng.random() < 0.6)):
        m, pitch = _some(rng, 0.05, 0.3), rng.uniform(1500, 5000)
        sweep = np.cumsum(np.linspace(pitch, pitch * rng.uniform(0.7, 1.4), m)) / RATE
        _add(rng, field, rng.uniform(0.5, 3) * np.sin(2 * np.pi * sweep))
    return field


def _cut(rng, song, n):
    first = rng.integers(max(1, len(song) - n))
    return song[first : first + n]


def _add(rng, sounds, piece):
    first = rng.integers(len(sounds) - len(piece))
    sounds[first : first + len(piece)] += piece * np.hanning(len(piece))


def _speech(rng, _, *, folder):
    n = _some(rng, 15, 40)
    if folder is not None:
        paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
        utter = lambda: _read(rng.choice(paths))  # noqa: E731
    elif shutil.which("espeak-ng"):
        utter = functools.partial(_espoken, rng, rng.choice(VOICES), rng.integers(130, 180))
    else:
        utter = functools.partial(_babbled, rng, rng.uniform(85, 230))
    said = np.zeros(0)
    while len(said) < n:
        said = np.concatenate([said, utter(), np.zeros(_some(rng, 0.2, 0.8))])
    return said[:n]


def _espoken(rng, voice, words_a_minute):
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "said.wav"
        command = ["espeak-ng", "-v", voice, "-s", str(words_a_minute), "-w", str(out)]
        subprocess.run([*command, rng.choice(SENTENCES)], check=True)
        return _read(out)


def _babbled(rng, pitch):
    """Some syllables: a hiss, and pulses through the formants of a vowel."""
    parts = []
    for _ in range(rng.integers(4, 14)):
        hiss = rng.normal(size=_some(rng, 0.04, 0.12)) * (rng.random() < 0.7)
        band = butter(2, (rng.uniform(1500, 4000), 9000), "band", fs=RATE, output="sos")
        m = _some(rng, 0.09, 0.25)
        phase = np.cumsum(pitch * np.exp(rng.normal(0, 0.1) + np.linspace(0.08, -0.08, m))) / RATE
        voice = lfilter([1], [1, -0.95], np.diff(np.floor(phase), prepend=0))
        formants = rng.choice(FORMANTS) * (1 if pitch < 150 else 1.15)
        for frequency, bandwidth in zip(formants, BANDWIDTHS, strict=True):
            radius = np.exp(-np.pi * bandwidth / RATE)
            poles = [1, -2 * radius * np.cos(2 * np.pi * frequency / RATE), radius**2]
            voice = lfilter([sum(poles)], poles, voice)
        voice = np.diff(voice, prepend=0) * np.sin(np.linspace(0, np.pi, m)) ** 0.5
        parts += [0.15 * sosfilt(band, hiss) * np.hanning(len(hiss)), voice / voice.std()]
    return np.concatenate(parts)


def _print_areas(runs):
    kinds = {"all but strangers": NO_SONGS, **{kind: (kind,) for kind in KINDS}}
    scores = [name for name in runs[0] if name not in ("kind", "trained on")]
    n = [sum(int((run["kind"] == kind).sum()) for run in runs) for kind in ("song", *KINDS)]
    planted = ", ".join(f"{many} {kind}" for many, kind in zip(n[1:], KINDS, strict=True))
    print(f"{len(runs)} runs, {n[0]} songs, planted: {planted}")
    print("AUC", *kinds, sep="\t")
    for name in scores:
        print(name, *(_interval(runs, name, some) for some in kinds.values()), sep="\t")


def _interval(runs, name, kinds):
    """The mean area over the runs, with its interval, as text."""
    rng = np.random.default_rng(0)
    pairs = []
    for run in runs:
        # what has other tracks of the artist, and is in the log
        compared = np.isfinite(run["distance to the artist's mean mel"] + run["outliers"])
        pairs.append([run[name][compared & np.isin(run["kind"], k)] for k in (kinds, ("song",))])
    drawn = [
        np.mean([_area(*(rng.choice(scores, len(scores)) for scores in pair)) for pair in pairs])
        for _ in range(RESAMPLES)
    ]
    low, high = np.percentile(drawn, (2.5, 97.5))
    return f"{np.mean([_area(*pair) for pair in pairs]):.3f} [{low:.3f}, {high:.3f}]"


def _area(planted, songs):
    """How often something planted scores more than a song, equal scores counted half."""
    songs = np.sort(songs)
    lower, not_higher = (np.searchsorted(songs, planted, side) for side in ("left", "right"))
    return (lower + not_higher).mean() / 2 / len(songs)


def _print_shares(runs):
    print("\nshare with a score of", "songs", *KINDS, sep="\t")
    for lowest in THRESHOLDS:
        shares = [
            np.mean(
                np.concatenate([run["outliers"][run["kind"] == kind] for run in runs]) >= lowest
            )
            for kind in ("song", *KINDS)
        ]
        print(f"{lowest} or more", *(f"{share:.1%}" for share in shares), sep="\t")


def _print_fit(runs):
    print("\nmean 1 − cosine", "songs", "planted, no songs", "AUC", sep="\t")
    for name, part in (("trained on", True), ("not trained on", False)):
        means, areas = [], []
        for run in runs:
            of_part, values = run["trained on"] == part, run["1 − cosine of predicted and listened"]
            of_part &= np.isfinite(run["outliers"])
            songs = values[of_part & (run["kind"] == "song")]
            planted = values[of_part & np.isin(run["kind"], NO_SONGS)]
            means.append((songs.mean(), planted.mean() if len(planted) else np.nan))
            areas.append(_area(planted, songs) if len(planted) else np.nan)
        figures = (*np.nanmean(means, axis=0), np.nanmean(areas))
        print(name, *(f"{figure:.3f}" for figure in figures), sep="\t")


if __name__ == "__main__":
    main()
