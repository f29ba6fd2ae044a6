"""What several tests share: the command line, small sound files, the real songs."""

import functools
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import typer.main
from scipy.sparse import csr_matrix
from torch.utils.data import DataLoader

from audiorec_cli import files, workers
from audiorec_cli.audio import analysis
from audiorec_cli.audio.settings import SpectrogramSettings
from audiorec_cli.cli import main
from audiorec_cli.convnet import descriptors, loading, presets
from audiorec_cli.convnet.network import Network
from audiorec_cli.convnet.settings import NetworkSettings
from audiorec_cli.demo import library
from audiorec_cli.records import (
    AnalysedTrack,
    Checkpoint,
    Factors,
    LoggedTracks,
    Plays,
    Predictions,
    Tracks,
)
from two_tastes import write_two_tastes

built_command = functools.cache(typer.main.get_command)
TAKE_LONG = ("test_chain", "test_mels_goes_on", "test_bad_audio", "test_bench", "test_variations")
REAL_DATA = Path(__file__).parents[2] / "shared" / "data"


def pytest_collection_modifyitems(items):
    """Begin with the modules that take long, so that no process is left with one at the end."""
    items.sort(key=lambda item: item.path.stem not in TAKE_LONG)


@pytest.fixture(scope="session", autouse=True)
def workers_start_soon():
    """One process loads what the workers of any command need, once for all tests."""
    workers.load_ahead([*analysis.WORKER_MODULES, *workers.LOADER_MODULES, library.__name__])


@pytest.fixture
def audiorec(capfd, monkeypatch):
    """Run the command line through main(): returns (exit status, stdout, stderr)."""
    # every call would build all commands anew, which takes as long as many of the tests
    monkeypatch.setattr(typer.main, "get_command", built_command)

    def run(*arguments):
        capfd.readouterr()
        status = main([str(argument) for argument in arguments])
        return status, *capfd.readouterr()

    return run


@pytest.fixture
def exported(audiorec):
    """Run `audiorec export` with some arguments; returns what it says."""

    def run(*arguments):
        status, out, err = audiorec("export", *arguments)
        assert (status, out) == (0, ""), err
        return err

    return run


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def real_songs():
    """The folder of the in-house set of real songs and listeners; the test skips without it."""
    folder = REAL_DATA / "songs"
    if not (folder / "listens.tsv").exists():
        pytest.skip("the in-house real songs are not on this machine")
    return folder


@pytest.fixture
def tone():
    """Makes a sine with a little noise, (n,) or (n, channels) float32."""

    def make(seconds=32.0, *, hz=440.0, sample_rate=22_050, channels=1):
        t = np.arange(round(seconds * sample_rate)) / sample_rate
        noise = np.random.default_rng(round(hz)).normal(size=len(t))
        mono = (0.4 * np.sin(2 * np.pi * hz * t) + 0.01 * noise).astype(np.float32)
        return mono if channels == 1 else np.repeat(mono[:, None], channels, axis=1)

    return make


@pytest.fixture
def write_tone(tone):
    """Writes a sound file with a tone; the suffix gives the format. Returns its path."""

    def write(path, seconds=32.0, *, sample_rate=22_050, **options):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, tone(seconds, sample_rate=sample_rate, **options), sample_rate)
        return Path(path)

    return write


def unit_rows(shape, seed=0):
    """Random rows of unit norm, float32."""
    factors = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    return factors / np.linalg.norm(factors, axis=1, keepdims=True)


@pytest.fixture(scope="session")
def tracks():
    """Makes Tracks named "title 0", "title 1" … by two artists in turn."""

    def make(n):
        return Tracks(
            track_id=[f"folder/{i}" for i in range(n)],
            path=[f"folder/{i}.flac" for i in range(n)],
            title=[f"title {i}" for i in range(n)],
            artist=[f"artist {i % 2}" for i in range(n)],
            album=["album"] * n,
            duration_s=np.full(n, 200.0),
            size=np.arange(n),
            mtime_ns=np.arange(n),
            isrc=[""] * n,
            mbid=[""] * n,
        )

    return make


@pytest.fixture(scope="session")
def predictions_file(tracks):
    """Writes a predictions file of 12 tracks with random factors, or those given."""

    def write(path, factors=None, fingerprint="print", **others):
        factors = unit_rows((12, 4)) if factors is None else factors
        predictions = Predictions(tracks(len(factors)), factors, fingerprint, "/music", **others)
        files.save_predictions(path, predictions)
        return path

    return write


@pytest.fixture(scope="session")
def mels_file(tracks):
    """Writes a mels file of n tracks of noise, an excerpt each, or of the mels given."""

    def write(path, n=6, mels=None, tracks=tracks, start_s=85.0):
        rng = np.random.default_rng(0)
        mels = rng.random((n, 128, 599)) * 5 if mels is None else mels
        table = tracks if isinstance(tracks, Tracks) else tracks(len(mels))
        with files.MelsWriter(
            path, audio_folder="/music", params=asdict(SpectrogramSettings())
        ) as writer:
            writer.append(
                [
                    AnalysedTrack(
                        {c: getattr(table, c)[row] for c in Tracks.columns()},
                        np.array([start_s]),
                        np.array([30.0]),
                        mel[None].astype(np.float16),
                    )
                    for row, mel in enumerate(mels)
                ]
            )
        return path

    return write


@pytest.fixture
def two_tastes(here, audiorec, tracks):
    """The current folder, with listeners of two tastes and predictions that know them."""
    write_two_tastes(audiorec, tracks)
    return here


@pytest.fixture
def factors_file(tracks):
    """Writes factors of the same tracks that mels_file writes, or the factors given."""

    def write(path, n=6, factors=None):
        factors = unit_rows((n, 3)) if factors is None else factors
        table, n = tracks(len(factors)), len(factors)
        logged = LoggedTracks(
            table.track_id, table.title, table.artist, table.isrc, table.mbid,
            np.full(n, 2.0), np.full(n, 2),
        )  # fmt: skip
        log = Plays(["u", "v"], logged, csr_matrix(np.ones((2, n), np.float32)))
        user_factors = np.ones((2, factors.shape[1]), np.float32)
        norm, is_test = np.ones(n, np.float32), np.zeros(n, bool)
        files.save_factors(path, Factors(log, factors, norm, user_factors, is_test))
        return path

    return write


@pytest.fixture
def log_of():
    """Makes a log of plays, (n_users, n_tracks), by listeners u000 … of tracks t000 …"""

    def make(matrix):
        plays = csr_matrix(np.asarray(matrix, dtype=np.float32))
        m, n = plays.shape
        none = [""] * n
        table = LoggedTracks(
            [f"t{i:03}" for i in range(n)], none, none, none, none, np.ones(n), np.ones(n, int)
        )
        return Plays([f"u{u:03}" for u in range(m)], table, plays)

    return make


@pytest.fixture
def checkerboard():
    """Plays (40, 30): even listeners play even tracks, odd ones odd tracks."""
    u, i = np.ogrid[:40, :30]
    return (u % 2 == i % 2) * (1 + (u + i) % 3)


@pytest.fixture
def loading_in_process(monkeypatch):
    """Excerpts are loaded without a process of their own."""

    def in_process(excerpts, *, batch_size, sampler, generator, **_):
        return DataLoader(excerpts, batch_size=batch_size, sampler=sampler, generator=generator)

    monkeypatch.setattr(loading, "DataLoader", in_process)


@pytest.fixture
def quick_training(monkeypatch, loading_in_process):
    """The presets have few filters and heads, and load excerpts without a process of their own."""
    monkeypatch.setattr(descriptors, "N_DESCRIPTOR_HEADS", 2)
    for name, preset in presets.PRESETS.items():
        few = {
            "conv_channels": (4, 4),
            "conv_pools": (4, 2),
            "dense_units": (8,) * len(preset.network.dense_units),
        }
        small = replace(preset, network=replace(preset.network, **few))
        monkeypatch.setitem(presets.PRESETS, name, small)


@pytest.fixture(scope="session")
def checkpoint_file(tracks):
    """Writes the checkpoint of a small network that never trained."""

    def write(path, network=None, n_factors=3):
        settings = NetworkSettings(
            conv_channels=(8, 8), conv_pools=(4, 2), dense_units=(16, 16), n_factors=n_factors
        )
        mean, deviation = np.zeros(128, np.float32), np.ones(128, np.float32)
        torch.manual_seed(0)
        network = network or Network(settings, mel_mean=mean, mel_deviation=deviation)
        weights = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
        checkpoint = Checkpoint(
            settings={"network": asdict(network.settings), "training": {}, "match": "track"},
            weights=weights,
            latest_weights=weights,
            optimizer={},
            mel_mean=mean,
            mel_deviation=deviation,
            history={column: np.array([1.0]) for column in Checkpoint.HISTORY},
            split={
                "train": ["folder/0"],
                "validation": ["folder/1"],
                "test": ["folder/2", "folder/3"],
            },
        )
        files.save_checkpoint(path, checkpoint)
        return path

    return write
