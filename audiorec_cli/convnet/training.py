"""Fitting the network: minibatch SGD with Nesterov momentum [A], or AdamW [N], on an objective."""

import contextlib
import itertools
import math
import time

import torch

from audiorec_cli.convnet.loading import Excerpts, Loader, closing_loaders, mel_statistics
from audiorec_cli.convnet.network import Network
from audiorec_cli.convnet.objectives import MeanSquaredError
from audiorec_cli.errors import AudiorecError
from audiorec_cli.records import Checkpoint

# What an optimiser keeps of each weight, and what follows the weight's name for it in a checkpoint
OPTIMIZER_STATES = {
    "sgd": {"momentum_buffer": ""},
    "adamw": {"exp_avg": ".exp_avg", "exp_avg_sq": ".exp_avg_sq", "step": ".step"},
}
CACHE_BYTES = 2**29  # of spectrograms that each loader keeps: some 3500 of [A]'s
OTHER_NETWORK = (
    "the checkpoint is damaged, or its network is of another version: "
    "train it again with 'audiorec train'"
)


def pick_device(name):
    """The torch device for auto, cpu, cuda or mps. Raises AudiorecError when it is not there.

    From then on cuDNN repeats itself bit for bit on one machine, and products on CUDA are in
    TensorFloat-32.
    """
    available = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        name = next(device for device, there in available.items() if there)
    if not available[name]:
        raise AudiorecError(f"no {name} device on this machine: use --device cpu or --device auto")
    if name == "cuda":
        torch.backends.cudnn.deterministic = True
        torch.set_float32_matmul_precision("high")  # as cuDNN has it for convolutions
    return torch.device(name)


def require_support(device, settings):
    """Raise AudiorecError when a device cannot do what the TrainingSettings ask for."""
    able = device.type == "cpu" or (device.type == "cuda" and torch.cuda.is_bf16_supported())
    if settings.mixed_precision and not able:
        raise AudiorecError(
            f"{device.type} has no bfloat16 here: train without --mixed-precision or on another "
            "device by --device"
        )


def fit(
    open_reader,
    examples,
    *,
    network,
    training,
    objective,
    device,
    earlier=None,
    on_batch,
    on_epoch,
):
    """Train a network on Examples, to the last epoch of its settings.

    open_reader : as in Excerpts; network : NetworkSettings; training : TrainingSettings
    objective : see objectives
    earlier : the Checkpoint to go on from, None to begin
    on_batch : called with the number of excerpts and the loss of each training batch
    on_epoch : called after each epoch with what Checkpoint keeps of it, as keyword arguments
    Raises AudiorecError when the loss is not finite, or where torch.compile does not work.
    """
    if earlier is None:
        mean, deviation = mel_statistics(open_reader, examples.excerpts["train"])
    else:
        mean, deviation = earlier.mel_mean, earlier.mel_deviation
    torch.manual_seed(training.seed)
    model = Network(network, mel_mean=mean, mel_deviation=deviation).to(device)
    loaders = _loaders(open_reader, examples, objective, training, pin_memory=device.type == "cuda")
    trainer = Trainer(model, training, **loaders, objective=objective)
    if earlier is not None:
        trainer.resume(earlier)
    n_epochs = training.n_epochs(len(examples.excerpts["train"]))
    compiled = _compiled(model) if training.compile else contextlib.nullcontext()
    with closing_loaders(*loaders.values()), compiled:
        while trainer.epochs_done < n_epochs:
            trainer.run_epoch(on_batch=on_batch)
            on_epoch(mel_mean=mean, mel_deviation=deviation, **trainer.state())


@contextlib.contextmanager
def _compiled(network):
    """Compile a network in place; where there is no compiler for it, say so in one line."""
    from torch._dynamo.exc import TorchDynamoException

    network.compile()
    try:
        yield
    except TorchDynamoException as error:
        raise AudiorecError(
            f"torch.compile does not work here with torch {torch.__version__}; it needs a C++ "
            "compiler, or Triton for a GPU: train without --compile"
        ) from error


def _loaders(open_reader, examples, objective, settings, *, pin_memory):
    rows, targets = examples.excerpts["train"], objective.targets(examples)["train"]
    parts = {
        "train": (
            rows,
            targets,
            settings.crop_frames,
            objective.sampler(targets, settings),
        ),
        "validation": (*objective.validated(examples), None, None),
    }
    loaders = {}
    for part, (rows, targets, crop_frames, sampler) in parts.items():
        excerpts = Excerpts(
            open_reader,
            rows,
            targets=targets,
            crop_frames=crop_frames,
            stretch=settings.stretch,
            seed=settings.seed,
            cache_bytes=CACHE_BYTES,
        )
        loaders[part] = Loader(
            excerpts, batch_size=settings.batch_size, sampler=sampler, pin_memory=pin_memory
        )
    return loaders


class Trainer:
    """Trains a network epoch by epoch, and can go on from where another one stopped.

    network : on its device; train, validation : Loaders of (mels, what the objective compares with)
    """

    def __init__(self, network, settings, *, train, validation, objective=None):
        self.network = network
        self.settings = settings
        self.objective = objective or MeanSquaredError()
        self._loaders = {"train": train, "validation": validation}
        self._device = network.output.weight.device
        self._optimizer = _optimizer_of(network, settings)
        self.history = {column: [] for column in Checkpoint.HISTORY}
        self.best_weights = self._weights()

    @property
    def epochs_done(self):
        """Number of finished epochs."""
        return len(self.history["epoch"])

    def run_epoch(self, *, on_batch=lambda n, loss: None):
        """Train and validate once. Keeps the weights unless an earlier epoch's are to be kept.

        on_batch : called with the number of excerpts and the loss of each training batch
        Raises AudiorecError when the loss is not finite.
        """
        epoch, began = self.epochs_done, time.monotonic()
        learning_rate, train_loss = self._train(epoch, on_batch)
        validation_loss = self._validate()
        if not math.isfinite(validation_loss):
            raise AudiorecError(_diverged(epoch, self.settings.learning_rate))
        lowest = min(self.history["validation_loss"], default=math.inf)
        if self.settings.kept == "last" or validation_loss < lowest:
            self.best_weights = self._weights()
        row = (epoch + 1, learning_rate, train_loss, validation_loss, time.monotonic() - began)
        for column, value in zip(Checkpoint.HISTORY, row, strict=True):
            self.history[column].append(value)

    def _train(self, epoch, on_batch):
        """Train for one epoch. Returns the learning rate at its end and the mean loss."""
        self.network.train()
        # dropout too depends on seed and epoch alone
        torch.manual_seed(self.settings.seed * 1_000_003 + epoch)
        total, n_seen = 0.0, 0
        for learning_rate, (mels, targets) in self._steps(epoch):
            for group in self._optimizer.param_groups:
                group["lr"] = learning_rate
            self.network.normalise_by_batch(len(mels) > 1)
            self._optimizer.zero_grad()
            loss = self.objective.of_heads(self._outputs(mels), targets, self.network.n_heads)
            loss.minimised.backward()
            self._optimizer.step()
            value = loss.figure.item()
            if not math.isfinite(value):
                raise AudiorecError(_diverged(epoch, self.settings.learning_rate))
            total += value * len(mels)
            n_seen += len(mels)
            on_batch(len(mels), value)
        return learning_rate, total / n_seen

    def _steps(self, epoch):
        """(learning rate, batch) of each update of an epoch, which the last update cuts short."""
        loader = self._loaders["train"]
        updates = itertools.count(epoch * len(loader))
        if self.settings.updates is not None:
            updates = range(epoch * len(loader), self.settings.updates)
        rates = (self.settings.learning_rate_at(update, len(loader)) for update in updates)
        return zip(rates, loader.epoch(epoch), strict=False)

    @torch.inference_mode()
    def _validate(self):
        self.network.eval()
        batches = self._loaders["validation"].epoch(0)
        return self.objective.figure((self._outputs(mels), targets) for mels, targets in batches)

    def _outputs(self, mels):
        bfloat16 = torch.autocast(
            self._device.type, torch.bfloat16, enabled=self.settings.mixed_precision
        )
        with bfloat16:
            return self.network(mels.to(self._device, non_blocking=True))

    def _weights(self):
        return _to_arrays(self.network.state_dict())

    def state(self):
        """What Checkpoint keeps of the training, as its keyword arguments."""
        names = [name for name, _ in self.network.named_parameters()]
        parts = self._optimizer.state_dict()["state"]
        suffixes = OPTIMIZER_STATES[self.settings.optimizer]
        return {
            "weights": self.best_weights,
            "latest_weights": self._weights(),
            "optimizer": _to_arrays(
                {
                    names[index] + suffixes[part]: tensor
                    for index, state in parts.items()
                    for part, tensor in state.items()
                    if tensor is not None
                }
            ),
            "history": {column: list(values) for column, values in self.history.items()},
        }

    def resume(self, checkpoint):
        """Go on from a Checkpoint's last finished epoch, exactly as if training had not stopped.

        Raises AudiorecError when it is of another network.
        """
        self.history = {c: list(checkpoint.history[c]) for c in Checkpoint.HISTORY}
        self.best_weights = checkpoint.weights
        load_weights(self.network, checkpoint.latest_weights)
        self._optimizer.load_state_dict(
            {**self._optimizer.state_dict(), "state": self._optimizer_state(checkpoint.optimizer)}
        )

    def _optimizer_state(self, arrays):
        """The state of the optimiser, by the number of each weight; arrays : of a Checkpoint."""
        suffixes, states, n_taken = OPTIMIZER_STATES[self.settings.optimizer], {}, 0
        for index, (name, parameter) in enumerate(self.network.named_parameters()):
            shapes = {part: () if part == "step" else parameter.shape for part in suffixes}
            found = {part: arrays.get(name + suffix) for part, suffix in suffixes.items()}
            if all(array is None for array in found.values()):
                continue
            if not all(_is_state(part, found[part], shapes[part]) for part in suffixes):
                raise AudiorecError(OTHER_NETWORK)
            states[index] = {
                part: torch.tensor(array).reshape(shapes[part]) for part, array in found.items()
            }
            n_taken += len(found)
        if n_taken != len(arrays):
            raise AudiorecError(OTHER_NETWORK)
        return states


def _is_state(part, array, shape):
    """Whether an array can be that part of an optimiser's state, of a weight of this shape."""
    if array is None or array.size != math.prod(shape):
        return False
    return array.min() >= {"step": 1, "exp_avg_sq": 0}.get(part, -math.inf)


def _optimizer_of(network, settings):
    if settings.optimizer == "adamw":
        return torch.optim.AdamW(
            network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
    return torch.optim.SGD(
        network.parameters(),
        lr=settings.learning_rate,
        momentum=settings.momentum,
        nesterov=settings.momentum > 0,
    )


def _to_arrays(tensors):
    return {name: t.detach().cpu().numpy().copy() for name, t in tensors.items()}


def load_weights(network, weights):
    """Put weights (name → float32 array) into the network; AudiorecError where they do not fit."""
    try:
        network.load_state_dict({n: torch.from_numpy(w.copy()) for n, w in weights.items()})
    except RuntimeError as error:
        raise AudiorecError(OTHER_NETWORK) from error


def _diverged(epoch, learning_rate):
    return (
        f"the loss is no longer a number in epoch {epoch + 1}: "
        f"train with a learning rate below {learning_rate:g} by --lr"
    )
