"""audiorec train: fit the network to a library's spectrograms and a log's factors."""

import functools
import json
import time
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from audiorec_cli import console
from audiorec_cli.errors import AudiorecError
from audiorec_cli.options import (
    DEFAULT_NAMES,
    Device,
    DeviceOption,
    FactorsFile,
    MelsFile,
    Seed,
    found,
)

SECONDS_BETWEEN_SAVES = 30.0


class Match(StrEnum):
    """What a log's items are matched by."""

    track = "track"
    artist = "artist"


OutFile = Annotated[Path, typer.Option(help="Checkpoint to write.")]
Epochs = Annotated[
    int,
    typer.Option(min=1, help="Passes over the training tracks; the learning rate steps by them."),
]
UpdateSize = Annotated[
    int, typer.Option("--batch-size", min=1, max=65536, help="Excerpts an update.")
]
LearningRate = Annotated[float, typer.Option(min=1e-9, help="Learning rate at the start.")]
MatchOption = Annotated[
    Match, typer.Option(help="artist: every song takes the factors of its artist in the log.")
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint at --out.")]


def train(
    mels: MelsFile = None,
    factors: FactorsFile = None,
    out: OutFile = DEFAULT_NAMES["checkpoint"],
    epochs: Epochs = 40,
    batch_size: UpdateSize = 16,
    lr: LearningRate = 0.0125,
    match: MatchOption = Match.track,
    seed: Seed = 0,
    device: DeviceOption = Device.auto,
    resume: Resume = False,
):
    """Train the network of Dieleman (2014) to predict latent factors from spectrograms.

    The tracks that the log knows are split into train (80 %), validation (10 %) and test, whole
    artists at a time. The weights of the epoch with the lowest validation loss are kept. A
    stopped training goes on with the same command and --resume.
    """
    from audiorec_cli import files
    from audiorec_cli.convnet import training

    files.require_writable(out, "checkpoint")
    if resume and not out.exists():
        raise AudiorecError(f"{out}: no such file to resume from: train without --resume")
    torch_device = training.pick_device(device.value)
    mels_path = found("mels", mels)
    factors_path = found("factors", factors)
    settings = training.TrainingSettings(
        epochs=epochs, batch_size=batch_size, learning_rate=lr, seed=seed
    )
    examples = _join(mels_path, factors_path, match, settings)
    described = _describe(examples, settings, match)
    earlier = _earlier(out, described) if resume else None
    saver = _Saver(out, described, examples.track_ids, epochs)
    _fit(mels_path, examples, saver, earlier, torch_device)
    console.note(saver.result(examples))


def _join(mels_path, factors_path, match, settings):
    """The examples to learn from: the tracks that both library and log know, split by artist."""
    from audiorec_cli import files, matching
    from audiorec_cli.convnet.examples import make_examples
    from audiorec_cli.convnet.splitting import groups_of

    library, factors = files.load_mels(mels_path), files.load_factors(factors_path)
    matches = matching.match(library.tracks, factors.log.tracks, by_artist=match is Match.artist)
    _describe_matches(matches, library.tracks)
    tracks = library.tracks.take(matches.library_rows)
    logged_artists = [factors.log.tracks.artist[row] for row in matches.log_rows]
    artists = [
        matching.normalised(tag or in_log)
        for tag, in_log in zip(tracks.artist, logged_artists, strict=True)
    ]
    groups = groups_of(artists, tracks.track_id)
    if len(set(groups)) == len(groups) > len(set(artists)):
        console.note("too few artists are known to keep them apart: the tracks are split singly")
    try:
        examples = make_examples(
            library,
            matches.library_rows,
            factors.track_factors[matches.log_rows],
            groups,
            settings,
        )
    except ValueError as error:
        raise AudiorecError(
            f"{len(groups)} tracks of the library are in the log, and training, validation and "
            "test need one each: add tracks to the library or the log"
        ) from error
    n = {part: len(ids) for part, ids in examples.track_ids.items()}
    console.note(
        f"{n['train']} tracks to train on; {n['validation']} tracks to validate on; "
        f"{n['test']} tracks to test on"
    )
    return examples


def _describe_matches(matches, tracks):
    by_key = ", ".join(f"{n} by {key}" for key, n in matches.by_key.items() if n)
    console.note(f"{len(matches.library_rows)} of {len(tracks)} tracks are in the log: {by_key}")


def _describe(examples, settings, match):
    """The settings that the checkpoint keeps."""
    from audiorec_cli.convnet.network import NetworkSettings

    n_factors = examples.targets["train"].shape[1]
    return {
        "network": asdict(NetworkSettings(n_factors=n_factors)),
        "training": asdict(settings),
        "match": match.value,
        "examples": examples.digest,
    }


def _earlier(out, described):
    """The checkpoint to go on from. AudiorecError where this would not be the same training."""
    from audiorec_cli import files

    earlier = files.load_checkpoint(out)
    wanted, had = json.loads(json.dumps(described)), earlier.settings
    for name, value in wanted["training"].items():
        before = had.get("training", {}).get(name)
        if name != "epochs" and before != value:
            raise AudiorecError(
                f"{out} was trained with {name} {before}, not {value}: "
                "repeat its options, or train anew without --resume"
            )
    if (had.get("match"), had.get("examples")) != (wanted["match"], wanted["examples"]):
        raise AudiorecError(
            f"the tracks or the factors are others than {out} was trained on: "
            "train anew, without --resume"
        )
    if earlier.epochs_done >= wanted["training"]["epochs"]:
        raise AudiorecError(
            f"{out} has its {earlier.epochs_done} epochs: ask for more with --epochs"
        )
    console.note(f"{out}: going on after epoch {earlier.epochs_done}")
    return earlier


class _Saver:
    """Keeps the state after each epoch and writes it now and then, and at the end."""

    def __init__(self, out, described, track_ids, epochs):
        self._out, self.described, self._track_ids = out, described, track_ids
        self._epochs, self._unsaved, self._saved_at = epochs, None, time.monotonic()
        self.history = None

    def keep(self, **state):
        """Take over what an epoch left, and write it if the last writing is some time ago."""
        from audiorec_cli.records import Checkpoint

        self.history = state["history"]
        self._unsaved = Checkpoint(settings=self.described, split=self._track_ids, **state)
        if time.monotonic() - self._saved_at > SECONDS_BETWEEN_SAVES:
            self.save()

    def save(self):
        """Write the last state, if it is not written yet."""
        from audiorec_cli import files

        if self._unsaved is not None:
            files.save_checkpoint(self._out, self._unsaved)
            self._unsaved, self._saved_at = None, time.monotonic()

    def figures(self, loss):
        """The epoch that runs, its loss and the validation loss of the one before."""
        validation = self.history["validation_loss"] if self.history else []
        text = f"epoch {len(validation) + 1}/{self._epochs}, loss {loss:.5f}"
        return text + (f", validation loss {validation[-1]:.5f}" if validation else "")

    def result(self, examples):
        """One line on the epoch that was kept."""
        losses = self.history["validation_loss"]
        best = losses.index(min(losses))
        mean = examples.targets["train"].mean(axis=0)
        of_mean = ((examples.targets["validation"] - mean) ** 2).mean()
        verdict = (
            ": no better, so there are too few tracks or epochs" if losses[best] >= of_mean else ""
        )
        return (
            f"{self._out}: epoch {best + 1} of {len(losses)} is kept, with a validation loss of "
            f"{losses[best]:.5f} (the mean of the training factors has {of_mean:.5f}){verdict}"
        )


def _fit(mels_path, examples, saver, earlier, device):
    from audiorec_cli import files
    from audiorec_cli.convnet import training
    from audiorec_cli.convnet.network import NetworkSettings

    settings = training.TrainingSettings(**saver.described["training"])
    epochs_left = settings.epochs - (earlier.epochs_done if earlier else 0)
    total = epochs_left * len(examples.excerpts["train"])
    if earlier is not None:
        saver.history = {column: list(values) for column, values in earlier.history.items()}
    try:
        with console.progress("train", total=total, unit="excerpts") as advance:
            training.fit(
                functools.partial(files.MelsReader, mels_path),
                examples,
                network=NetworkSettings(**saver.described["network"]),
                training=settings,
                device=device,
                earlier=earlier,
                on_batch=lambda n, loss: advance(n, saver.figures(loss)),
                on_epoch=saver.keep,
            )
    finally:
        saver.save()
