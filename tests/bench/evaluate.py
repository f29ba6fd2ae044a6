"""What `audiorec evaluate` needs for very many listeners and test tracks.

Files of made-up factors and plays are written to a temporary folder; the command runs there without
baselines. Its peak memory is set beside what the scores of all listeners for all tracks would take,
and its time beside that of computing and sorting these scores alone, block by block, as often.

    python tests/bench/evaluate.py                             # 100,000 listeners, 10,000 tracks
    python tests/bench/evaluate.py --listeners 10000 --tracks 2000
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict

import numpy as np
import torch
from scipy.sparse import csr_matrix

from audiorec_cli import files
from audiorec_cli.audio.settings import SpectrogramSettings
from audiorec_cli.convnet.network import Network
from audiorec_cli.convnet.settings import NetworkSettings
from audiorec_cli.records import (
    AnalysedTrack,
    Checkpoint,
    Factors,
    LoggedTracks,
    Plays,
    Predictions,
    Tracks,
)

N_FACTORS, PLAYED = 40, 50  # of a track and a listener; tracks that a listener played
N_FRAMES = 40  # the spectrograms are not looked at
MODELS_RANKED = 5  # network, random, popularity, two ceilings
BLOCK = 200
MIB = 2**20


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--listeners", type=int, default=100_000)
    parser.add_argument("--tracks", type=int, default=10_000)
    arguments = parser.parse_args()
    n_users, n_tracks = arguments.listeners, arguments.tracks
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        factors = _write_files(n_users, n_tracks)
        start = time.perf_counter()
        command = [sys.executable, "-m", "audiorec_cli", "evaluate", "--no-baselines"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        seconds = time.perf_counter() - start
    # of the largest child that has ended, in KiB
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    scores = 4 * n_users * n_tracks
    sorting = MODELS_RANKED * _seconds_to_sort(factors)
    print(
        f"peak memory {peak / MIB:.0f} MiB, {peak / scores:.2f} of the {scores / MIB:.0f} MiB "
        "of all scores"
    )
    print(
        f"time {seconds:.0f} s, {seconds / sorting:.2f} of the {sorting:.0f} s to compute and "
        "sort them"
    )


def _write_files(n_users, n_tracks):
    """Write what evaluate reads; the Factors."""
    rng = np.random.default_rng(0)
    ids, none = [f"t{i}" for i in range(n_tracks + 2)], [""] * (n_tracks + 2)
    _write_mels(ids)
    checkpoint = _write_checkpoint(ids)
    user_factors = rng.normal(size=(n_users, N_FACTORS)).astype(np.float32)
    unit = _unit_rows(rng, len(ids))
    played = rng.integers(len(ids), size=(n_users, PLAYED))
    plays = csr_matrix(
        (np.ones(played.size, np.float32), (np.repeat(np.arange(n_users), PLAYED), played.ravel())),
        shape=(n_users, len(ids)),
    )
    listeners = plays.getnnz(axis=0)
    logged = LoggedTracks(ids, none, ids, none, none, listeners.astype(float), listeners)
    log = Plays([f"u{u}" for u in range(n_users)], logged, plays)
    norm, is_test = np.ones(len(ids), np.float32), np.zeros(len(ids), bool)
    factors = Factors(
        log, unit, norm, user_factors, is_test, {"model": "als", "n_factors": N_FACTORS}
    )
    files.save_factors("factors.h5", factors)
    library = files.load_mels("mels.h5").tracks
    predictions = Predictions(library, _unit_rows(rng, len(ids)), checkpoint.fingerprint, "/music")
    files.save_predictions("predictions.h5", predictions)
    return factors


def _unit_rows(rng, n):
    factors = rng.normal(size=(n, N_FACTORS)).astype(np.float32)
    return factors / np.linalg.norm(factors, axis=1, keepdims=True)


def _write_mels(ids):
    columns = dict.fromkeys(Tracks.columns(), "") | {"duration_s": 200.0, "size": 0, "mtime_ns": 0}
    mel = np.zeros((1, 128, N_FRAMES), np.float16)
    analysed = [
        AnalysedTrack(
            columns | {"track_id": name, "path": name, "artist": name}, np.zeros(1), np.ones(1), mel
        )
        for name in ids
    ]
    params = asdict(SpectrogramSettings())
    with files.MelsWriter(
        "mels.h5", audio_folder="/music", params=params, n_frames=N_FRAMES
    ) as writer:
        writer.append(analysed)


def _write_checkpoint(ids):
    settings = NetworkSettings(
        conv_channels=(4,), conv_pools=(4,), dense_units=(4,), n_factors=N_FACTORS
    )
    statistics = np.zeros(128, np.float32), np.ones(128, np.float32)
    network = Network(settings, mel_mean=torch.zeros(128), mel_deviation=torch.ones(128))
    weights = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    checkpoint = Checkpoint(
        settings={"network": asdict(settings), "training": {}, "match": "track"},
        weights=weights,
        latest_weights=weights,
        optimizer={},
        mel_mean=statistics[0],
        mel_deviation=statistics[1],
        history={column: np.array([1.0]) for column in Checkpoint.HISTORY},
        split={"train": ids[:1], "validation": ids[1:2], "test": ids[2:]},
    )
    files.save_checkpoint("model.h5", checkpoint)
    return checkpoint


def _seconds_to_sort(factors):
    """To compute all scores and sort each listener's, from a tenth of the listeners."""
    users = factors.user_factors[::10]
    start = time.perf_counter()
    for first in range(0, len(users), BLOCK):
        np.argsort(users[first : first + BLOCK] @ factors.track_factors.T, axis=1)
    return 10 * (time.perf_counter() - start)


if __name__ == "__main__":
    main()
