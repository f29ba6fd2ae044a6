"""How quick `audiorec mels` is beside librosa, and beside decoding alone; how much memory it takes.

Files of three minutes are made in a temporary folder. All figures but those of two workers are of
one core: each way has a process of its own, as it would in use, the ways take turns, each with the
same file several times in a row, and the least time of all rounds counts.

    python tests/bench/mels.py                # ratios for MP3, FLAC, OGG and WAV, and two workers
    python tests/bench/mels.py --memory       # peak memory for three hours and for thirty seconds
"""

import argparse
import itertools
import os
import subprocess
import sys
import tempfile
import time

import librosa
import numpy as np
import soundfile
from threadpoolctl import threadpool_limits

from audiorec_cli.audio.analysis import WORKER_MODULES, analyse, prepare_worker
from audiorec_cli.audio.settings import SpectrogramSettings
from audiorec_cli.records import Failure
from audiorec_cli.workers import process_context, process_pool, starting_processes

FORMATS = ("mp3", "flac", "ogg", "wav")
SAMPLE_RATE, SECONDS = 44_100, 180
SETTINGS = SpectrogramSettings()
IN_A_ROW = 5  # times: the first finds the processor's caches filled by the others
WORKER_ROUNDS = 3
JINGLE_S, MIX_S = 30, 3 * 3600
PEAK = """
import sys
from audiorec_cli.audio.analysis import analyse
from audiorec_cli.audio.settings import SpectrogramSettings
track = analyse(sys.argv[1], folder=".", settings=SpectrogramSettings(), excerpts=1)
# not getrusage, whose peak is also that of the process that started this one
peak = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(type(track).__name__, peak)
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--files", type=int, default=2000, help="for one worker and for two")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        if arguments.memory:
            _print_memory()
            return
        for suffix in FORMATS:
            _write(f"three-minutes.{suffix}", [_music(SECONDS)])
        _print_ratios(arguments.rounds)
        _print_workers(arguments.files)


def _music(seconds):
    """Chords over noise that comes and goes, (n, 2) float32: no two seconds of it are alike."""
    rng = np.random.default_rng(0)
    t = np.arange(seconds * SAMPLE_RATE) / SAMPLE_RATE
    roots = np.repeat(rng.choice([110, 147, 165, 196], size=seconds * 2), SAMPLE_RATE // 2)
    phase = 2 * np.pi * np.cumsum(roots) / SAMPLE_RATE
    chord = sum(np.sin(phase * interval) for interval in (1, 1.25, 1.5, 2, 3, 4)) / 12
    drums = rng.normal(size=len(t)) * np.exp(-8 * (t * 2 % 1)) / 5
    left, right = chord + drums, 0.8 * chord + np.roll(drums, 100)
    return np.column_stack([left, right]).astype(np.float32)


def _write(path, pieces):
    """Write pieces of sound, (n, 2) each, a second at a time: libsndfile's Vorbis bears no more."""
    with soundfile.SoundFile(path, "w", SAMPLE_RATE, 2) as sound:
        for piece in pieces:
            for start in range(0, len(piece), SAMPLE_RATE):
                sound.write(piece[start : start + SAMPLE_RATE])


def _ours(path):
    assert not isinstance(analyse(path, folder=".", settings=SETTINGS, excerpts=1), Failure)


def _librosa_whole(path):
    _librosa(*librosa.load(path, sr=SETTINGS.sample_rate))


def _librosa_excerpt(path):
    start = (SECONDS - SETTINGS.seconds) / 2
    loaded = librosa.load(path, sr=SETTINGS.sample_rate, offset=start, duration=SETTINGS.seconds)
    _librosa(*loaded)


def _librosa(samples, sample_rate):
    librosa.feature.melspectrogram(
        y=samples, sr=sample_rate, n_fft=SETTINGS.n_fft, hop_length=SETTINGS.hop_length,
        n_mels=SETTINGS.n_mels, power=1, center=False,
    )  # fmt: skip


def _decode_alone(path):
    with soundfile.SoundFile(path) as sound:
        sound.seek(round((SECONDS - SETTINGS.seconds) / 2 * SAMPLE_RATE))
        sound.read(round(SETTINGS.seconds * SAMPLE_RATE), dtype="float32")


WAYS = (_ours, _librosa_whole, _librosa_excerpt, _decode_alone)


def _on_one_core(way):
    if way is _ours:
        prepare_worker()
    else:
        threadpool_limits(1)


def _time(way, path):
    """The least number of seconds that a file takes, several times in a row."""
    seconds = []
    for _ in range(IN_A_ROW):
        start = time.perf_counter()
        way(path)
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def _print_ratios(rounds):
    context = process_context(WORKER_MODULES)
    ways = {way: process_pool(context, 1) for way in WAYS}
    print("format", "ms a file", "librosa, whole", "librosa, 30 s", "of decoding alone", sep="\t")
    for suffix in FORMATS:
        path = f"three-minutes.{suffix}"
        seconds = dict.fromkeys(WAYS, np.inf)
        for way, process in ways.items():
            with starting_processes(context):
                process.submit(_on_one_core, way).result()
            process.submit(way, path).result()  # what it must import is not counted
        for _ in range(rounds):
            for way, process in ways.items():
                seconds[way] = min(seconds[way], process.submit(_time, way, path).result())
        ours, whole, excerpt, decoding = seconds.values()
        print(
            suffix,
            f"{1000 * ours:.1f}",
            f"{whole / ours:.1f} times ours",
            f"{excerpt / ours:.2f} times ours",
            f"{ours / decoding:.2f} times it",
            sep="\t",
            flush=True,
        )


def _print_workers(n_files):
    os.mkdir("library")
    for i in range(n_files):
        os.link("three-minutes.mp3", f"library/{i}.mp3")
    seconds = {1: np.inf, 2: np.inf}
    for number, workers in itertools.product(range(WORKER_ROUNDS), seconds):
        start = time.perf_counter()
        command = ["mels", "library", f"{number}-{workers}.h5", "--workers", str(workers)]
        subprocess.run(
            [sys.executable, "-m", "audiorec_cli", *command], check=True, capture_output=True
        )
        seconds[workers] = min(seconds[workers], time.perf_counter() - start)
    print(
        f"two workers: {seconds[1] / seconds[2]:.2f} times one, the whole command on {n_files} "
        f"MP3 files ({n_files / seconds[2]:.0f} files/s)"
    )


def _print_memory():
    tone = _music(JINGLE_S)
    for name, seconds in (("30 s", JINGLE_S), ("3 h", MIX_S)):
        for suffix in ("flac", "ogg"):
            path = f"{name.replace(' ', '')}.{suffix}"
            _write(path, itertools.repeat(tone, seconds // JINGLE_S))
            done = subprocess.run(
                [sys.executable, "-c", PEAK, path], capture_output=True, text=True, check=True
            )
            kind, peak = done.stdout.split()
            assert kind == "AnalysedTrack"
            print(f"{name} of {suffix}: peak memory {int(peak) / 1024:.0f} MiB", flush=True)


if __name__ == "__main__":
    main()
