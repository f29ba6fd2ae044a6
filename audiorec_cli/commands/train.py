"""audiorec train: fit the network to a library's spectrograms and a log's factors."""

import functools
import hashlib
import json
import time
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import typer

from audiorec_cli import console
from audiorec_cli.errors import AudiorecError
from audiorec_cli.options import Device, DeviceOption, FactorsFile, MelsFile, found

SECONDS_BETWEEN_SAVES = 30.0


class Match(StrEnum):
    """What a log's items are matched by."""

    track = "track"
    artist = "artist"


class Examples(NamedTuple):
    """What the network learns from, by part: "train", "validation", "test".

    excerpts : part → (k,) rows of the mels file; targets : part → (k, n_factors) float32
    track_ids : part → track_ids of the library
    """

    excerpts: dict[str, np.ndarray]
    targets: dict[str, np.ndarray]
    track_ids: dict[str, list[str]]

    def digest(self):
        """A digest of all of it, to tell whether training can go on with the same."""
        digest = hashlib.blake2b(digest_size=16)
        for part in sorted(self.excerpts):
            digest.update(json.dumps(self.track_ids[part]).encode())
            digest.update(np.ascontiguousarray(self.targets[part]))
        return digest.hexdigest()


def train(
    mels: MelsFile = None,
    factors: FactorsFile = None,
    out: Annotated[Path, typer.Option(help="Checkpoint to write.")] = Path("model.h5"),
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the training tracks.")] = 40,
    batch_size: Annotated[int, typer.Option(min=1, help="Excerpts an update.")] = 16,
    lr: Annotated[float, typer.Option(min=1e-9, help="Learning rate at the start.")] = 0.0125,
    match: Annotated[
        Match, typer.Option(help="artist: every song takes the factors of its artist in the log.")
    ] = Match.track,
    seed: Annotated[int, typer.Option(min=0, help="Of split, weights, order and crops.")] = 0,
    device: DeviceOption = Device.auto,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the checkpoint at --out.")
    ] = False,
):
    """Train the network of Dieleman (2014) to predict latent factors from spectrograms.

    The tracks that the log knows are split into train (80 %), validation (10 %) and test, whole
    artists at a time. The weights of the epoch with the lowest validation loss are kept. A
    stopped training goes on with the same command and --resume.
    """
    from audiorec_cli import files
    from audiorec_cli.convnet import training
    from audiorec_cli.convnet.network import NetworkSettings

    files.require_writable(out, "checkpoint")
    torch_device = training.pick_device(device.value)
    mels_path = found("mels", mels)
    factors_path = found("factors", factors)
    settings = training.TrainingSettings(
        epochs=epochs, batch_size=batch_size, learning_rate=lr, seed=seed
    )
    examples = _examples(mels_path, factors_path, match, settings)
    n_factors = examples.targets["train"].shape[1]
    described = {
        "network": asdict(NetworkSettings(n_factors=n_factors)),
        "training": asdict(settings),
        "match": match.value,
        "examples": examples.digest(),
    }
    earlier = _earlier(out, described) if resume else None
    _fit(mels_path, examples, described, earlier, torch_device, out)


def _examples(mels_path, factors_path, match, settings):
    """Join library and log, and split the tracks that both know by artist."""
    from audiorec_cli import files, matching
    from audiorec_cli.convnet import splitting

    library, log_factors = files.load_mels(mels_path), files.load_factors(factors_path)
    log = log_factors.log.tracks
    matches = matching.match(library.tracks, log, by_artist=match is Match.artist)
    _describe_matches(matches, library.tracks)
    groups = splitting.groups_of(
        library.tracks.take(matches.library_rows).artist,
        library.tracks.take(matches.library_rows).track_id,
        [log.artist[row] for row in matches.log_rows],
    )
    try:
        parts = splitting.split_by_group(
            groups, validation=settings.validation, test=settings.test, seed=settings.seed
        )
    except ValueError as error:
        raise AudiorecError(
            f"{len(groups)} tracks of the library are in the log: training, validation and test "
            "need 3 at least"
        ) from error
    position = np.full(len(library.tracks), -1)
    position[matches.library_rows] = np.arange(len(matches.library_rows))
    positions = position[library.excerpt_track]
    excerpts = {part: np.flatnonzero(np.isin(positions, rows)) for part, rows in parts.items()}
    console.note("; ".join(f"{len(rows)} tracks to {_PURPOSE[p]}" for p, rows in parts.items()))
    return Examples(
        excerpts=excerpts,
        targets={
            part: log_factors.track_factors[matches.log_rows[positions[rows]]]
            for part, rows in excerpts.items()
        },
        track_ids={
            part: [library.tracks.track_id[row] for row in matches.library_rows[rows]]
            for part, rows in parts.items()
        },
    )


_PURPOSE = {"train": "train on", "validation": "validate on", "test": "test on"}


def _describe_matches(matches, tracks):
    by_key = ", ".join(f"{n} by {key}" for key, n in matches.by_key.items() if n)
    console.note(f"{len(matches.library_rows)} of {len(tracks)} tracks are in the log: {by_key}")


def _earlier(out, described):
    """The checkpoint to go on from. AudiorecError where this would not be the same training."""
    from audiorec_cli import files

    earlier = files.load_checkpoint(out)
    wanted, had = json.loads(json.dumps(described)), earlier.settings
    if had.get("examples") != wanted["examples"]:
        raise AudiorecError(
            f"the tracks or the factors are others than {out} was trained on: "
            "train anew, without --resume"
        )
    for name, value in wanted["training"].items():
        before = had["training"].get(name)
        if name != "epochs" and before != value:
            raise AudiorecError(
                f"{out} was trained with {name} {before}, not {value}: "
                "repeat its options, or train anew without --resume"
            )
    if earlier.epochs_done >= wanted["training"]["epochs"]:
        raise AudiorecError(
            f"{out} has its {earlier.epochs_done} epochs: ask for more with --epochs"
        )
    console.note(f"{out}: going on after epoch {earlier.epochs_done}")
    return earlier


def _fit(mels_path, examples, described, earlier, device, out):
    from audiorec_cli import files
    from audiorec_cli.convnet import loading, training
    from audiorec_cli.convnet.network import Network, NetworkSettings
    from audiorec_cli.records import Checkpoint

    open_reader = functools.partial(files.MelsReader, mels_path)
    settings = training.TrainingSettings(**described["training"])
    mean, deviation = loading.mel_statistics(open_reader, examples.excerpts["train"])
    training.seed_weights(settings.seed)
    network = Network(
        NetworkSettings(**described["network"]), mel_mean=mean, mel_deviation=deviation
    ).to(device)
    loaders = _loaders(open_reader, examples, settings, device)
    trainer = training.Trainer(network, settings, **loaders)
    if earlier is not None:
        trainer.resume(earlier)

    def checkpoint():
        return Checkpoint(
            settings=described,
            mel_mean=mean,
            mel_deviation=deviation,
            split=examples.track_ids,
            **trainer.state(),
        )

    with loading.closing_loaders(*loaders.values()):
        _run_epochs(trainer, settings, len(examples.excerpts["train"]), checkpoint, out)
    _describe_result(trainer, examples, out)


def _loaders(open_reader, examples, settings, device):
    from audiorec_cli.convnet.loading import Excerpts, Loader

    def loader(part, **options):
        excerpts = Excerpts(
            open_reader,
            examples.excerpts[part],
            targets=examples.targets[part],
            crop_frames=settings.crop_frames if part == "train" else None,
            seed=settings.seed,
        )
        pinned = device.type == "cuda"
        return Loader(excerpts, batch_size=settings.batch_size, pin_memory=pinned, **options)

    return {"train": loader("train", shuffle=True), "validation": loader("validation")}


def _run_epochs(trainer, settings, n_excerpts, checkpoint, out):
    """Train to the last epoch, saving at the end, now and then before, and at Ctrl-C."""
    from audiorec_cli import files

    first, saved = len(trainer.history["epoch"]), time.monotonic()
    finished = None
    total = (settings.epochs - first) * n_excerpts
    try:
        with console.progress("train", total=total, unit="excerpts") as advance:
            for epoch in range(first, settings.epochs):
                trainer.run_epoch(
                    on_batch=lambda n, loss, epoch=epoch: advance(n, _figures(trainer, epoch, loss))
                )
                finished = checkpoint()
                if time.monotonic() - saved > SECONDS_BETWEEN_SAVES:
                    files.save_checkpoint(out, finished)
                    finished, saved = None, time.monotonic()
    finally:
        if finished is not None:
            files.save_checkpoint(out, finished)


def _figures(trainer, epoch, loss):
    validation = trainer.history["validation_loss"]
    return f"epoch {epoch + 1}/{trainer.settings.epochs}, loss {loss:.5f}" + (
        f", validation loss {validation[-1]:.5f}" if validation else ""
    )


def _describe_result(trainer, examples, out):
    losses = trainer.history["validation_loss"]
    best = int(np.argmin(losses))
    mean = examples.targets["train"].mean(axis=0)
    of_mean = float(np.mean((examples.targets["validation"] - mean) ** 2))
    console.note(
        f"{out}: epoch {best + 1} of {len(losses)} is kept, with a validation loss of "
        f"{losses[best]:.5f} (the mean of the training factors has {of_mean:.5f})"
    )
