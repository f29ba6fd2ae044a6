"""The options of audiorec train: their choices and defaults are those of the settings."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from audiorec_cli.convnet.presets import PRESETS, WITH_OBJECTIVE
from audiorec_cli.convnet.settings import (
    CHOICES,
    NetworkSettings,
    TrainingSettings,
    TuningSettings,
)
from audiorec_cli.options import enum_of


class Match(StrEnum):
    """What a log's items are matched by."""

    track = "track"
    artist = "artist"


PresetName = enum_of("PresetName", PRESETS)
Activation, Pooling, NormalizationName, DescriptorsName, ObjectiveName, Contrast = (
    enum_of(name, CHOICES[name.lower()])
    for name in ("Activation", "Pooling", "Normalization", "Descriptors", "Objective", "Contrast")
)


def _variation(*names, **options):
    return typer.Option(*names, rich_help_panel="Variations", **options)


def _contrast(*names, **options):
    return typer.Option(*names, rich_help_panel="With --objective contrastive", **options)


def _rank(*names, **options):
    return typer.Option(*names, rich_help_panel="With --objective rank", **options)


def _optimiser(*names, **options):
    return typer.Option(*names, rich_help_panel="Optimiser", **options)


def _of_presets(part, name, shown=str):
    """What a setting of a part of each preset is unless it is given, for help."""
    defaults = {
        preset: shown(getattr(getattr(settings, part), name))
        for preset, settings in PRESETS.items()
    }
    defaults |= {
        f"--objective {objective}": shown(others[name])
        for objective, others in WITH_OBJECTIVE.items()
        if name in others
    }
    if len(set(defaults.values())) == 1:
        return next(iter(defaults.values()))
    return ", ".join(f"{preset} {default}" for preset, default in defaults.items())


OutFile = Annotated[Path, typer.Option(help="Checkpoint to write.")]
MatchOption = Annotated[
    Match, typer.Option(help="artist: every song takes the factors of its artist in the log.")
]
Validation = Annotated[
    float | None,
    typer.Option(
        min=0,
        help="Tracks to validate on: a share of them, or from 1 on their number.",
        show_default=_of_presets("training", "validation"),
    ),
]
Test = Annotated[
    float | None,
    typer.Option(
        min=0,
        help="The same of tracks that training never meets; not where the factors file marks them.",
        show_default=_of_presets("training", "test"),
    ),
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint at --out.")]
PresetOption = Annotated[
    PresetName,
    _variation(
        help="modern: a small network over 30 s, averaged with some that are given descriptors, "
        "for few tracks; spotify2014: [A]'s network; nips2013: [B]'s over windows of 3 s, averaged."
    ),
]
Layers = Annotated[
    int | None,
    _variation(
        min=1,
        max=100,
        help="Number of convolutions.",
        show_default=_of_presets("network", "conv_channels", lambda each: str(len(each))),
    ),
]
ActivationOption = Annotated[Activation, _variation(help="Of convolutions and dense layers.")]
PoolingOption = Annotated[
    Pooling,
    _variation(help="stochastic: draw a frame by its activation; when predicting, average so."),
]
Normalization = Annotated[
    NormalizationName | None,
    _variation(
        help="batch: scale what each layer gives to mean 0 and variance 1 over a batch.",
        show_default=_of_presets("network", "normalization"),
    ),
]
Dropout = Annotated[
    float | None,
    _variation(
        min=0,
        max=0.99,
        help="Share of each dense layer's input that training leaves out, descriptors excepted.",
        show_default=_of_presets("network", "dropout"),
    ),
]
L2Output = Annotated[bool, _variation("--l2-output", help="Scale what it predicts to unit norm.")]
Stretch = Annotated[
    float,
    _variation(
        min=0,
        max=9,
        help="Stretch or compress excerpts in time: 0.1 is by up to 1.1 either way.",
    ),
]
Bypass = Annotated[
    bool,
    _variation("--bypass", help="Give the dense layers statistics of the earlier convolutions."),
]
DescriptorsOption = Annotated[
    DescriptorsName | None,
    _variation(
        help="all: average with predictions from timbre, harmony, rhythm and repetition.",
        show_default=_of_presets("network", "descriptors"),
    ),
]
PredictVariance = Annotated[
    bool,
    _variation(
        "--predict-variance",
        help="Predict how sure each factor is, as similar and evaluate show; maximise likelihood.",
    ),
]
ObjectiveOption = Annotated[
    ObjectiveName | None,
    _variation(
        help="mse: squared error; cosine: of directions alone; wpe: the weighted prediction error "
        "of [B] over the listeners; contrastive: by no factors, to tell tracks that the same "
        "listeners play from others, in a space of its own; rank: to tell what listeners gave a "
        "thumb up from what they gave one down, by a network that has been trained.",
        show_default=_of_presets("training", "objective"),
    ),
]
LogOption = Annotated[
    Path | None,
    _contrast(
        "--log",
        metavar="LOG",
        help="A listening log to learn from, of any format that factorize reads.",
        show_default="that in the factors file",
    ),
]
ContrastOption = Annotated[
    Contrast | None,
    _contrast(
        help="infonce: a softmax over the batch; drlim: distances, up to a margin (DrLIM).",
        show_default=TrainingSettings.contrast,
    ),
]
Temperature = Annotated[
    float | None,
    _contrast(
        min=0.001,
        max=100,
        help="Of the softmax of infonce: the lower, the more the nearest tracks count.",
        show_default=str(TrainingSettings.temperature),
    ),
]
Margin = Annotated[
    float | None,
    _contrast(
        min=0.001,
        max=2,
        help="How far apart, of 2 at most, drlim moves tracks that are not alike.",
        show_default=str(TrainingSettings.margin),
    ),
]
NFactors = Annotated[
    int | None,
    _contrast(
        "--n-factors",
        min=1,
        max=4096,
        help="Dimensions of the space.",
        show_default=str(NetworkSettings.n_factors),
    ),
]
ThumbsFile = Annotated[
    Path | None,
    _rank(
        "--thumbs",
        metavar="CSV",
        help="Thumbs to learn from, with columns seed (a track, or any name of a station), track "
        "and thumb (1 or -1, up or down).",
    ),
]
StartFile = Annotated[
    Path | None,
    _rank(
        "--checkpoint",
        metavar="FILE",
        help="Network to start from; then --epochs, --batch-size and --lr are of the tuning.",
        show_default="one is trained first",
    ),
]
Nearness = Annotated[
    float | None,
    _rank(
        min=0,
        max=1e6,
        help="How much tracks stay where the network had them: thumbs that it weighs as much as to "
        "turn a track by a right angle.",
        show_default=str(TuningSettings.nearness),
    ),
]
Epochs = Annotated[
    int | None,
    _optimiser(
        min=1,
        help="Passes over the training tracks; the learning rate falls by them.",
        show_default=_of_presets("training", "epochs"),
    ),
]
Updates = Annotated[
    int | None, _optimiser(min=1, help="Steps of the optimiser, instead of epochs.")
]
UpdateSize = Annotated[
    int | None,
    _optimiser(
        "--batch-size",
        min=1,
        max=65536,
        help="Excerpts an update.",
        show_default=_of_presets("training", "batch_size"),
    ),
]
LearningRate = Annotated[
    float | None,
    _optimiser(
        min=1e-9,
        max=1e30,  # beyond float32 the optimiser overflows
        help="The highest learning rate, which is that at the start or after the warm-up.",
        show_default=_of_presets("training", "learning_rate"),
    ),
]
MixedPrecision = Annotated[
    bool, _optimiser("--mixed-precision", help="Run the network in bfloat16.")
]
Compile = Annotated[
    bool, _optimiser("--compile", help="Compile the network, which takes a while at first.")
]
