"""The settings of networks and trainings: light, so that the command line tells their defaults."""

import math
from dataclasses import dataclass

CHOICES = {
    "activation": ("relu", "maxout"),
    "pooling": ("max", "stochastic"),
    "normalization": ("none", "batch"),
    "spread": ("norm", "deviation"),
    "descriptors": ("none", "all"),
    "objective": ("mse", "cosine", "wpe", "contrastive", "rank"),
    "contrast": ("infonce", "drlim"),
    "optimizer": ("sgd", "adamw"),
    "schedule": ("steps", "cosine"),
    "kept": ("best", "last"),
}

HIGHEST_RATE = 1_000_000  # Hz


@dataclass(frozen=True)
class NetworkSettings:
    """The architecture; the defaults are [A]'s.

    conv_channels : filters of each convolution; conv_width : frames that a filter spans
    conv_pools : frames that pooling joins after each convolution, 1 for none
    dense_units : units of each hidden dense layer; dropout : share of units dropped before each
    window_frames : None, for global temporal pooling over an input of any length [A]; or the length
        of the windows that the network sees one at a time, without global pooling [B]
    activation : "relu" or "maxout" [G]; pooling : "max" or "stochastic" [F]
    normalization : "none" or "batch" [M], of what convolutions and dense layers give, before it is
        rectified, and of what the first dense layer is given
    spread : what global pooling takes beside mean and maximum, the L2 "norm" [A] or the "deviation"
    l2_output : scale the predicted factors to unit norm
    bypass : give the dense layers the pooled statistics of the earlier convolutions too
    descriptors : "none", or "all" for further heads that predict from statistics of timbre,
        harmony, rhythm and repetition. Each head learns by itself and gives factors of unit norm,
        which are averaged
    sample_rate, hop_length : Hz and samples, of the spectrograms, where there are descriptors
    predict_variance : predict a Gaussian for each factor [H]
    """

    n_mels: int = 128
    conv_channels: tuple[int, ...] = (256, 256, 512, 512)
    conv_width: int = 4
    conv_pools: tuple[int, ...] = (4, 2, 2, 1)
    dense_units: tuple[int, ...] = (2048, 2048)
    n_factors: int = 40
    dropout: float = 0.5
    window_frames: int | None = None
    activation: str = "relu"
    pooling: str = "max"
    normalization: str = "none"
    spread: str = "norm"
    l2_output: bool = False
    bypass: bool = False
    descriptors: str = "none"
    sample_rate: int = 22_050
    hop_length: int = 1102
    predict_variance: bool = False

    def __post_init__(self):
        # JSON gives lists back
        for name in ("conv_channels", "conv_pools", "dense_units"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if len(self.conv_channels) != len(self.conv_pools) or not self.conv_channels:
            raise ValueError("each convolution needs its pooling, 1 for none")
        if not self.dense_units:
            raise ValueError("at least one hidden dense layer is needed")
        _check_choices(self, ("activation", "pooling", "normalization", "spread", "descriptors"))
        for name in ("sample_rate", "hop_length"):
            value = getattr(self, name)
            if type(value) is not int or not 0 < value <= HIGHEST_RATE:
                raise ValueError(f"{name} is a whole number from 1 to {HIGHEST_RATE}")
        if self.window_frames is not None and self.window_frames < self.min_frames:
            raise ValueError(f"a window needs {self.min_frames} frames")

    @property
    def has_descriptors(self):
        """Whether there are heads that predict from descriptors."""
        return self.descriptors != "none"

    @property
    def conv_layers(self):
        """Names of the convolutions, from the first to the last."""
        return [f"conv{i + 1}" for i in range(len(self.conv_channels))]

    @property
    def layers(self):
        """Names of the hidden layers, from input to output."""
        return [*self.conv_layers, *(f"dense{i + 1}" for i in range(len(self.dense_units)))]

    def receptive_field(self, layer):
        """Input frames that one frame of a layer sees, and input frames from one to the next.

        layer : conv1, conv2 …, before its pooling; for dense1, dense2 … the frames meant are those
            of the last convolution after its pooling, which global pooling joins, or the windows
        """
        if self.window_frames is not None and layer not in self.conv_layers:
            return self.window_frames, self.window_frames
        return self._field(layer)

    def _field(self, layer=None):
        width, step = 1, 1
        for name, pool in zip(self.conv_layers, self.conv_pools, strict=True):
            width += (self.conv_width - 1) * step
            if name == layer:
                return width, step
            width += (pool - 1) * step
            step *= pool
        return width, step

    @property
    def min_frames(self):
        """The shortest input, in frames, of which something reaches the dense layers."""
        return self._field()[0]

    def n_frames(self, n_input_frames, layer=None):
        """Frames of a convolution's activations; without a layer, of what the last one's pools."""
        width, step = self._field(layer)
        return (n_input_frames - width) // step + 1

    def centre_of_frame(self, layer, frame):
        """The input frame, in fractions, in the middle of what a frame of a layer sees.

        frame : int or array, of the layer's activations, those of all windows one after the other
        """
        width, step = self.receptive_field(layer)
        start = frame * step
        if self.window_frames is not None and layer in self.conv_layers:
            window, within = divmod(frame, self.n_frames(self.window_frames, layer))
            start = window * self.window_frames + within * step
        return start + (width - 1) / 2

    @property
    def n_features(self):
        """How many numbers the first dense layer is given."""
        last = self.conv_channels[-1]
        per_filter = 3 if self.window_frames is None else self.n_frames(self.window_frames)
        return last * per_filter + (3 * sum(self.conv_channels[:-1]) if self.bypass else 0)


@dataclass(frozen=True)
class TrainingSettings:
    """The recipe. Loss, optimiser, momentum and cropping are [A]'s; it does not state the rest.

    epochs : passes over the training tracks; updates : where to stop instead, None for at `epochs`
    optimizer : "sgd" with Nesterov momentum, or "adamw" [N] with weight_decay
    learning_rate : for the squared error summed over the factors of a track
    schedule : "steps", by which the learning rate falls to a tenth at each share of the epochs, or
        updates, in `steps`; or "cosine": it rises from nothing over a share `warmup` of all
        updates, and from there falls along half a period of a cosine to nothing at the end [O]
    kept : the weights of which epoch predict, the "best" by validation loss, which takes many
        validation tracks to tell, or the "last"
    crop_frames : length of the random crop along time, of 599 in a spectrogram of [A]'s
    validation, test : shares of the matched tracks; from 1 on their number
    stretch : as in Excerpts
    objective : "mse", "cosine", "wpe" or "likelihood", of factors; "contrastive" of plays alone
    contrast : "infonce" with a temperature, or "drlim" with a margin, of the objective so called
    mixed_precision : run the network in bfloat16; compile : by torch.compile
    """

    epochs: int = 40
    batch_size: int = 16
    learning_rate: float = 0.0125
    steps: tuple[float, ...] = (0.7, 0.9)
    momentum: float = 0.9
    crop_frames: int = 550
    validation: float = 0.1
    test: float = 0.1
    seed: int = 0
    updates: int | None = None
    stretch: float = 0.0
    objective: str = "mse"
    mixed_precision: bool = False
    compile: bool = False
    optimizer: str = "sgd"
    weight_decay: float = 0.0
    schedule: str = "steps"
    warmup: float = 0.0
    kept: str = "best"
    contrast: str = "infonce"
    temperature: float = 0.1
    margin: float = 1.4

    def __post_init__(self):
        # JSON gives lists back
        object.__setattr__(self, "steps", tuple(self.steps))
        _check_choices(self, ("optimizer", "schedule", "kept", "contrast"))

    @property
    def is_contrastive(self):
        """Whether tracks are compared with each other, and no factors are learned from."""
        return self.objective == "contrastive"

    def learning_rate_at(self, update, updates_an_epoch):
        """The learning rate of an update.

        update : its number, from 0; updates_an_epoch : looked at where epochs count
        """
        n_updates = self.updates or self.epochs * updates_an_epoch
        if self.schedule == "cosine":
            # in the middle of the update, so that neither the first nor the last one is for nothing
            share = (update + 0.5) / n_updates
            if share < self.warmup:
                return self.learning_rate * share / self.warmup
            fallen = (share - self.warmup) / (1 - self.warmup)
            return self.learning_rate * (1 + math.cos(math.pi * fallen)) / 2
        done, whole = update, n_updates
        if self.updates is None:
            done, whole = update // updates_an_epoch, self.epochs
        steps_taken = sum(done >= share * whole for share in self.steps)
        return self.learning_rate * 0.1**steps_taken

    def n_epochs(self, n_excerpts):
        """Epochs until the end with n_excerpts to train on; where updates count, begun ones too."""
        if self.updates is None:
            return self.epochs
        return math.ceil(self.updates / math.ceil(n_excerpts / self.batch_size))

    def n_seen(self, n_excerpts):
        """Excerpts that training looks at until its end, with n_excerpts to train on."""
        if self.updates is None:
            return self.epochs * n_excerpts
        epochs, updates = divmod(self.updates, math.ceil(n_excerpts / self.batch_size))
        return epochs * n_excerpts + updates * self.batch_size


@dataclass(frozen=True)
class TuningSettings:
    """How a trained network is tuned by thumbs up and down. The numbers were chosen on real songs.

    epochs : passes over the tracks with a thumb; batch_size : tracks an update
    learning_rate : the highest; it falls along half a period of a cosine to nothing
    temperature : the margin of a pair, of cosines, is divided by it before the sigmoid
    nearness : thumbs that it weighs as much as to predict a track at a right angle to where it was
    held_out : share of the tracks with a thumb
    """

    epochs: int = 20
    batch_size: int = 64
    learning_rate: float = 0.0005
    temperature: float = 0.1
    nearness: float = 15.0
    held_out: float = 0.2
    seed: int = 0

    def learning_rate_at(self, epoch):
        """The learning rate of an epoch, from 0."""
        return self.learning_rate * (1 + math.cos(math.pi * epoch / self.epochs)) / 2


def _check_choices(settings, names):
    for name in names:
        if getattr(settings, name) not in CHOICES[name]:
            raise ValueError(f"no {name} {getattr(settings, name)}")
