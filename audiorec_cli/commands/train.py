"""audiorec train: fit the network to a library's spectrograms and a log's factors."""

import functools
import itertools
import json
import math
import time
from dataclasses import asdict, fields, replace
from enum import StrEnum

from audiorec_cli import console
from audiorec_cli.commands.own_space import OWN_SPACE, listening_of
from audiorec_cli.commands.train_options import (
    Activation,
    ActivationOption,
    Bypass,
    Compile,
    ContrastOption,
    DescriptorsOption,
    Dropout,
    Epochs,
    L2Output,
    Layers,
    LearningRate,
    LogOption,
    Margin,
    Match,
    MatchOption,
    MixedPrecision,
    Nearness,
    NFactors,
    Normalization,
    ObjectiveOption,
    OutFile,
    Pooling,
    PoolingOption,
    PredictVariance,
    PresetName,
    PresetOption,
    Resume,
    StartFile,
    Stretch,
    Temperature,
    Test,
    ThumbsFile,
    Updates,
    UpdateSize,
    Validation,
)
from audiorec_cli.commands.tuning import RANK, is_by_thumbs, train_by_thumbs
from audiorec_cli.convnet.presets import Grid, settings_of
from audiorec_cli.convnet.settings import NetworkSettings, TrainingSettings
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


class Finished(AudiorecError):
    """A training to go on with is at its end already."""


def train(
    mels: MelsFile = None, factors: FactorsFile = None, out: OutFile = DEFAULT_NAMES["checkpoint"],
    match: MatchOption = Match.track, validation: Validation = None, test: Test = None,
    seed: Seed = 0, device: DeviceOption = Device.auto, resume: Resume = False,
    preset: PresetOption = PresetName.modern, layers: Layers = None,
    activation: ActivationOption = Activation.relu, pooling: PoolingOption = Pooling.max,
    normalization: Normalization = None, dropout: Dropout = None, l2_output: L2Output = False,
    stretch: Stretch = 0.0, bypass: Bypass = False, descriptors: DescriptorsOption = None,
    predict_variance: PredictVariance = False, objective: ObjectiveOption = None,
    log: LogOption = None, contrast: ContrastOption = None, temperature: Temperature = None,
    margin: Margin = None, n_factors: NFactors = None, thumbs: ThumbsFile = None,
    checkpoint: StartFile = None, nearness: Nearness = None,
    epochs: Epochs = None, updates: Updates = None, batch_size: UpdateSize = None,
    lr: LearningRate = None, mixed_precision: MixedPrecision = False, compile: Compile = False,
):  # fmt: skip
    """Train a network to predict latent factors from spectrograms, or a space of its own.

    The tracks that the log knows are split into train, validation and test, whole artists at a
    time; where the factors file marks test tracks, these are the test. The weights of the last
    epoch are kept, with other presets than modern those of the epoch with the lowest validation
    loss. A stopped training goes on with the same command and --resume, and one that was killed
    goes on from the last epoch saved, of which there are two a minute at most. [A] is Dieleman
    2014, [B] van den Oord, Dieleman and Schrauwen 2013.
    """
    arguments = dict(locals())
    from audiorec_cli import files, workers

    workers.load_ahead(workers.LOADER_MODULES)  # while this process loads torch
    from audiorec_cli.convnet.training import pick_device

    if is_by_thumbs(arguments):
        return train_by_thumbs(arguments)
    files.require_writable(out, "checkpoint")
    if resume and not out.exists():
        raise AudiorecError(f"{out}: no such file to resume from: train without --resume")
    torch_device = pick_device(device.value)
    mels = found("mels", mels)
    library = files.load_mels(mels)
    settings = settings_of_arguments(mels, library, arguments)
    listening = listening_of(factors, log, contrastive=settings[1].is_contrastive)
    _train((mels, library), listening, out, settings, match, torch_device, resume)


def settings_of_arguments(mels_path, library, arguments):
    """NetworkSettings and TrainingSettings by the arguments of `train`, for a mels file.

    Raises AudiorecError where they make no network for its spectrograms, or exclude each other.
    """
    from audiorec_cli import files
    from audiorec_cli.audio.settings import SpectrogramSettings

    if arguments["epochs"] is not None and arguments["updates"] is not None:
        raise AudiorecError("--epochs and --updates both say how long to train: give one of them")
    given = {name: value for name, value in arguments.items() if value is not None}
    if given.get("objective") == RANK:
        del given["objective"]  # what is tuned is trained by the preset's own
    if given["predict_variance"]:
        if "objective" in given:
            raise AudiorecError(
                "--predict-variance maximises the likelihood, which is an objective of its own: "
                "leave out --objective"
            )
        given["objective"] = "likelihood"
    if "lr" in given:
        given["learning_rate"] = given["lr"]
    _check_contrast(given)
    params = asdict(SpectrogramSettings()) | library.params
    with files.MelsReader(mels_path) as reader:
        n_mels, n_frames = reader.read(0).shape
    return settings_of(
        str(given["preset"]),
        Grid(n_frames, params["sample_rate"], params["hop_length"]),
        n_layers=given.get("layers"),
        network={"n_mels": n_mels, **_of_fields(NetworkSettings, given)},
        training=_of_fields(TrainingSettings, given),
    )


def _check_contrast(given):
    """Refuse options that have no part in the objective, by the arguments given."""
    is_contrastive, contrast = given.get("objective") == "contrastive", given.get("contrast")
    for name in ("contrast", "temperature", "margin", "n_factors"):
        if name in given and not is_contrastive:
            flag = name.replace("_", "-")
            raise AudiorecError(f"--{flag} goes with --objective contrastive: leave it out")
    for name, owner in (("temperature", "infonce"), ("margin", "drlim")):
        if name in given and (contrast or TrainingSettings.contrast) != owner:
            raise AudiorecError(f"--{name} goes with --contrast {owner}: leave it out")


def _of_fields(kind, given):
    """What of the arguments is a setting of this kind, enumerations as their text."""
    settings = {field.name: given[field.name] for field in fields(kind) if field.name in given}
    return {name: str(v) if isinstance(v, StrEnum) else v for name, v in settings.items()}


def _train(sound, listening, out, settings, match, device, resume):
    """sound : the path of a mels file, and its Mels; settings : of network and training."""
    from audiorec_cli.commands.joining import examples_of, objective_of
    from audiorec_cli.convnet.training import require_support

    (mels_path, library), (network, training) = sound, settings
    require_support(device, training)
    examples = examples_of(library, listening, training, by_artist=match is Match.artist)
    objective = objective_of(training, listening, examples)
    factors = listening.factors
    if factors is not None:
        network = replace(network, n_factors=factors.track_factors.shape[1])
    described = {
        "network": asdict(network),
        "training": asdict(training),
        "match": match.value,
        "examples": examples.digest,
        "factors": OWN_SPACE if factors is None else factors.fingerprint,
        "spectrogram": library.spectrogram,
    }
    earlier = _earlier(out, described, len(examples.excerpts["train"])) if resume else None
    if out.exists() and not resume:
        console.note(f"{out}: the network there will be replaced")
    saver = _Saver(out, described, examples.track_ids)
    _fit(mels_path, examples, objective, saver, earlier, device)
    console.note(saver.result(objective, examples))


def _earlier(out, described, n_excerpts):
    """The checkpoint to go on from. AudiorecError where this would not be the same training."""
    from audiorec_cli import files

    earlier = files.load_checkpoint(out)
    wanted, had = json.loads(json.dumps(described)), earlier.settings
    # how many factors there are the factors file says
    may_differ = ("epochs",) if described["factors"] == OWN_SPACE else ("epochs", "n_factors")
    for part, defaults in (("network", NetworkSettings()), ("training", TrainingSettings())):
        # a checkpoint from before a setting was there was made as its default says
        before = json.loads(json.dumps(asdict(defaults))) | had.get(part, {})
        for name, value in wanted[part].items():
            if name not in may_differ and before[name] != value:
                raise AudiorecError(
                    f"{out} was trained with {name} {before[name]}, not {value}: "
                    "repeat its options, or train anew without --resume"
                )
    for part in ("match", "examples", "factors", "spectrogram"):
        if had.get(part, wanted[part]) != wanted[part]:
            raise AudiorecError(
                f"the tracks, spectrograms or factors are others than {out} was trained on: "
                "train anew, without --resume"
            )
    training = TrainingSettings(**wanted["training"])
    if earlier.epochs_done >= training.n_epochs(n_excerpts):
        raise Finished(_finished(out, earlier, training))
    console.note(f"{out}: going on after epoch {earlier.epochs_done}")
    return earlier


def _finished(out, earlier, training):
    if training.updates is None:
        return f"{out} has its {earlier.epochs_done} epochs: ask for more with --epochs"
    return f"{out} has its {training.updates} updates: train anew, without --resume"


class _Saver:
    """Keeps the state after each epoch and writes it now and then, and at the end."""

    def __init__(self, out, described, track_ids):
        self._out, self.described, self._track_ids = out, described, track_ids
        self._unsaved, self._saved_at = None, time.monotonic()
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

    def figures(self, loss, n_updates):
        """The epoch or update that runs, its loss and the validation loss of the epoch before."""
        training = self.described["training"]
        validation = self.history["validation_loss"] if self.history else []
        where = f"epoch {len(validation) + 1}/{training['epochs']}"
        if training["updates"] is not None:
            where = f"update {n_updates}/{training['updates']}"
        text = f"{where}, loss {loss:.5f}"
        return text + (f", validation loss {validation[-1]:.5f}" if validation else "")

    def stopped(self):
        """One line on what a stop leaves."""
        if self.history is None:
            return "stopped before the end of the first epoch: nothing is kept of it"
        n = len(self.history["epoch"])
        return f"{self._out}: stopped after epoch {n}: go on with the same command and --resume"

    def result(self, objective, examples):
        """One line on the epoch that was kept."""
        from audiorec_cli.convnet.objectives import loss_of_constant

        losses = self.history["validation_loss"]
        kept = losses.index(min(losses))
        if self.described["training"]["kept"] == "last":
            kept = len(losses) - 1
        network = self.described["network"]
        # heads that disagree are averaged to less than unit norm
        normalised = network["l2_output"] and network["descriptors"] == "none"
        of_mean = loss_of_constant(objective, examples, normalised=normalised)
        verdict = (
            ": no better, so there are too few tracks or epochs" if losses[kept] >= of_mean else ""
        )
        return (
            f"{self._out}: epoch {kept + 1} of {len(losses)} is kept, with a validation loss of "
            f"{losses[kept]:.5f} ({objective.of_constant} {of_mean:.5f}){verdict}"
        )


def _fit(mels_path, examples, objective, saver, earlier, device):
    from audiorec_cli import files
    from audiorec_cli.convnet import training

    settings = TrainingSettings(**saver.described["training"])
    n_excerpts, epochs_done = len(examples.excerpts["train"]), 0
    if earlier is not None:
        epochs_done = earlier.epochs_done
        saver.history = {column: list(values) for column, values in earlier.history.items()}
    update = itertools.count(epochs_done * math.ceil(n_excerpts / settings.batch_size) + 1)
    n_an_epoch = objective.n_an_epoch(n_excerpts, settings.batch_size)
    total = settings.n_seen(n_an_epoch) - epochs_done * n_an_epoch
    try:
        with console.progress("train", total=total, unit="excerpts") as advance:
            training.fit(
                functools.partial(files.MelsReader, mels_path),
                examples,
                network=NetworkSettings(**saver.described["network"]),
                training=settings,
                objective=objective,
                device=device,
                earlier=earlier,
                on_batch=lambda n, loss: advance(n, saver.figures(loss, next(update))),
                on_epoch=saver.keep,
            )
    except KeyboardInterrupt:
        console.note(saver.stopped())
        raise
    finally:
        saver.save()
