"""How quick training is: the network alone, and beside the loading of its spectrograms.

    python tests/bench/train.py                                # on a GPU where there is one
    python tests/bench/train.py --device cpu --tracks 256

Spectrograms of noise are written to a file in a temporary folder, and each network trains on them
with the settings of its preset, but all to the least squared error: on batches that were loaded
beforehand, on those that a process of its own loads meanwhile, as `audiorec train` does, and on
those that are loaded in turn. Printed are excerpts a second, of the quickest epoch; the first, in
which the cache fills, does not count.
"""

import argparse
import functools
import os
import tempfile
from dataclasses import asdict

import numpy as np
import torch
from torch.utils.data import DataLoader

from audiorec_cli import files
from audiorec_cli.audio.settings import SpectrogramSettings
from audiorec_cli.convnet.loading import EpochSampler, Excerpts, Loader, closing_loaders
from audiorec_cli.convnet.network import Network
from audiorec_cli.convnet.presets import PRESETS, Grid, settings_of
from audiorec_cli.convnet.training import CACHE_BYTES, Trainer, pick_device
from audiorec_cli.records import AnalysedTrack, Tracks
from audiorec_cli.workers import usable_cores

SPECTROGRAM = SpectrogramSettings()
GRID = Grid(SPECTROGRAM.n_frames, SPECTROGRAM.sample_rate, SPECTROGRAM.hop_length)
N_FACTORS = 40
VARIANTS = {
    "as it is": {},
    "bfloat16": {"mixed_precision": True},
    "compiled": {"compile": True},
    "both": {"mixed_precision": True, "compile": True},
}


class Ready:
    """Batches that were loaded before."""

    def __init__(self, batches):
        self._batches = batches

    def __len__(self):
        return len(self._batches)

    def epoch(self, epoch):
        yield from self._batches


class InTurn:
    """Batches that the training process loads itself, between its updates."""

    def __init__(self, excerpts, batch_size):
        self._sampler = EpochSampler(len(excerpts), shuffle=True)
        self._batches = DataLoader(excerpts, batch_size=batch_size, sampler=self._sampler)

    def __len__(self):
        return len(self._batches)

    def epoch(self, epoch):
        self._sampler.epoch = epoch
        yield from self._batches


def main():
    arguments = _arguments()
    device = pick_device(arguments.device)
    name = torch.cuda.get_device_name() if device.type == "cuda" else device.type
    print(f"{name}, torch {torch.__version__}, {usable_cores()} cores")
    print("preset", "variant", "a batch", "alone", "background", "in turn", sep="\t")
    with tempfile.TemporaryDirectory() as folder:
        mels = os.path.join(folder, "mels.h5")
        _write_noise(mels, arguments.tracks)
        for preset in arguments.presets:
            for variant in arguments.variants:
                _print_speed(mels, preset, variant, device, arguments)


def _arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--tracks", type=int, default=2000)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--batch-size", type=int, help="the preset's if not given")
    parser.add_argument("--presets", nargs="+", choices=PRESETS, default=list(PRESETS))
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    arguments = parser.parse_args()
    if arguments.epochs < 2:
        parser.error("--epochs: 2 at least, for the first does not count")
    return arguments


def _write_noise(path, n_tracks):
    rng, shape = np.random.default_rng(0), (1, SPECTROGRAM.n_mels, SPECTROGRAM.n_frames)
    start_s, sound_s = np.zeros(1), np.full(1, SPECTROGRAM.seconds)
    columns = dict.fromkeys(Tracks.columns(), "") | {"duration_s": 30.0, "size": 1, "mtime_ns": 1}
    with files.MelsWriter(path, audio_folder="/music", params=asdict(SPECTROGRAM)) as writer:
        for i in range(n_tracks):
            mel = (rng.random(shape, np.float32) * 5).astype(np.float16)
            track = {**columns, "track_id": str(i), "path": f"{i}.flac"}
            writer.append([AnalysedTrack(track, start_s, sound_s, mel)])


def _print_speed(mels, preset, variant, device, arguments):
    training = dict(VARIANTS[variant])
    if arguments.batch_size:
        training["batch_size"] = arguments.batch_size
    network, training = settings_of(
        preset, GRID, network={"n_factors": N_FACTORS}, training=training
    )
    excerpts = _excerpts(mels, arguments.tracks, training)
    background = Loader(
        excerpts, batch_size=training.batch_size, shuffle=True, pin_memory=device.type == "cuda"
    )
    with closing_loaders(background):
        loaded = [[part.to(device) for part in batch] for batch in background.epoch(0)]
        ways = (Ready(loaded), background, InTurn(excerpts, training.batch_size))
        validation = Ready(loaded[:1])
        seconds = [
            _seconds(_trainer(network, training, device, way, validation), arguments.epochs)
            for way in ways
        ]
    speeds = (f"{arguments.tracks / s:.0f}" for s in seconds)
    print(preset, variant, training.batch_size, *speeds, sep="\t", flush=True)


def _excerpts(mels, n_tracks, training):
    rng = np.random.default_rng(0)
    targets = rng.normal(size=(n_tracks, N_FACTORS)).astype(np.float32)
    targets /= np.linalg.norm(targets, axis=1, keepdims=True)
    return Excerpts(
        functools.partial(files.MelsReader, mels),
        np.arange(n_tracks),
        targets=targets,
        crop_frames=training.crop_frames,
        cache_bytes=CACHE_BYTES,
    )


def _trainer(network, training, device, train, validation):
    mean, deviation = np.full(SPECTROGRAM.n_mels, 2.5), np.ones(SPECTROGRAM.n_mels)
    model = Network(
        network, mel_mean=mean.astype(np.float32), mel_deviation=deviation.astype(np.float32)
    ).to(device)
    if training.compile:
        torch._dynamo.reset()
        model.compile()
    return Trainer(model, training, train=train, validation=validation)


def _seconds(trainer, epochs):
    """Of the quickest epoch but the first."""
    for _ in range(epochs):
        trainer.run_epoch()
    return min(trainer.history["seconds"][1:])


if __name__ == "__main__":
    main()
