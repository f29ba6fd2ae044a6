"""The published networks and a modern one, with their trainings, and the variations on them."""

from dataclasses import dataclass, replace
from typing import NamedTuple

from audiorec_cli.convnet.settings import NetworkSettings, TrainingSettings
from audiorec_cli.errors import AudiorecError


@dataclass(frozen=True)
class Preset:
    """A network and how it is trained.

    window_s : seconds of each window, None for no windows; cropped_share : of an excerpt, of the
        random crops where there are no windows
    """

    network: NetworkSettings
    training: TrainingSettings
    window_s: float | None = None
    cropped_share: float = 550 / 599


# spotify2014 is [A]'s. Of its network [B] states windows of 3 s, drawn at random to train and
# averaged to predict, two convolutions with max-pooling in time, two dense layers, of which the
# output is one, and rectified units. Filters, widths, pools, units, dropout and the training are
# chosen here. All of modern is.
PRESETS = {
    "spotify2014": Preset(NetworkSettings(), TrainingSettings()),
    "nips2013": Preset(
        NetworkSettings(conv_channels=(256, 256), conv_pools=(4, 2), dense_units=(2048,)),
        TrainingSettings(learning_rate=0.005),
        window_s=3.0,
    ),
    "modern": Preset(
        NetworkSettings(
            conv_channels=(64, 64, 64),
            conv_pools=(4, 4, 1),
            dense_units=(256, 256),
            normalization="batch",
            spread="deviation",
            descriptors="all",
        ),
        TrainingSettings(
            epochs=50,
            batch_size=32,
            optimizer="adamw",
            learning_rate=0.001,
            weight_decay=0.1,
            schedule="cosine",
            warmup=0.05,
            kept="last",
            validation=0.02,
            objective="cosine",
        ),
    ),
}

# What else an objective asks for than a preset does. The more a track is compared with the better,
# and there is more to learn than where each should lie.
WITH_OBJECTIVE = {"contrastive": {"batch_size": 64, "epochs": 100}}


class Grid(NamedTuple):
    """The spectrograms to train on: frames of an excerpt, and in Hz and samples how far apart."""

    n_frames: int
    sample_rate: int
    hop_length: int


def settings_of(name, grid, *, n_layers=None, network=None, training=None):
    """NetworkSettings and TrainingSettings of a preset, with what differs from it.

    n_layers : convolutions, None for the preset's; further ones are like its last, without pooling
    network, training : {field: value} of what differs
    Raises AudiorecError where it does not fit the excerpts of the Grid, or together.
    """
    preset, network, training = PRESETS[name], network or {}, training or {}
    of_objective = WITH_OBJECTIVE.get(training.get("objective"), {})
    training = replace(preset.training, **{**of_objective, **training})
    wanted = replace(preset.network, **network)
    _require_batches(wanted, training)
    if wanted.has_descriptors:
        network = {**network, "sample_rate": grid.sample_rate, "hop_length": grid.hop_length}
    architecture = _with_layers(preset.network, n_layers or len(preset.network.conv_channels))
    if network.get("bypass") and len(architecture.conv_channels) == 1:
        raise AudiorecError("--bypass goes by later convolutions, and there is one: leave it out")
    frames = window = _window_frames(preset, grid)
    if window is None:
        frames = _crop_frames(preset, grid, training.stretch)
    _require_fit(preset, architecture, frames)
    if frames > grid.n_frames / (1 + training.stretch):
        raise AudiorecError(
            f"windows of {preset.window_s:g} s do not fit excerpts of {grid.n_frames} frames as "
            "short as --stretch makes them: ask for less"
        )
    return (
        replace(architecture, window_frames=window, **network),
        replace(training, crop_frames=frames),
    )


def _require_batches(network, training):
    if network.normalization == "batch" and training.batch_size == 1:
        raise AudiorecError(
            "a batch of one excerpt says nothing to normalise by: ask for more with --batch-size, "
            "or for --normalization none"
        )
    if training.is_contrastive and (training.batch_size < 4 or training.batch_size % 2):
        raise AudiorecError(
            "--objective contrastive takes excerpts by pairs and compares these: ask for an even "
            "number, 4 at least, with --batch-size"
        )


def _window_frames(preset, grid):
    return preset.window_s and round(preset.window_s * grid.sample_rate / grid.hop_length)


def _crop_frames(preset, grid, stretch):
    """Frames of a crop that leaves some choice, and that fits however the sound is stretched."""
    return min(round(preset.cropped_share * grid.n_frames), int(grid.n_frames / (1 + stretch)))


def _with_layers(network, n):
    more = n - len(network.conv_channels)
    return replace(
        network,
        conv_channels=(*network.conv_channels, *network.conv_channels[-1:] * more)[:n],
        conv_pools=(*network.conv_pools, *(1,) * more)[:n],
    )


def _require_fit(preset, network, frames):
    n = len(network.conv_channels)
    if network.min_frames <= frames:
        return
    fitting = [m for m in range(1, n) if _with_layers(preset.network, m).min_frames <= frames]
    if not fitting:
        raise AudiorecError(
            f"{frames} frames are too few for any convolution: make more of them with "
            "'audiorec mels --hop-length', or ask for less --stretch"
        )
    raise AudiorecError(
        f"{frames} frames are too few for {n} convolutions: ask for --layers {fitting[-1]} at most"
    )
