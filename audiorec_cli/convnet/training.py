"""Fitting the network: minibatch SGD with Nesterov momentum on the mean squared error [A]."""

import math
import time
from dataclasses import dataclass

import torch
from torch.nn import functional

from audiorec_cli.convnet.loading import Excerpts, Loader, closing_loaders, mel_statistics
from audiorec_cli.convnet.network import Network
from audiorec_cli.errors import AudiorecError
from audiorec_cli.records import Checkpoint

OTHER_NETWORK = (
    "the checkpoint is damaged, or its network is of another version: "
    "train it again with 'audiorec train'"
)


@dataclass(frozen=True)
class TrainingSettings:
    """The recipe. Loss, optimiser, momentum and cropping are [A]'s; it does not state the rest.

    learning_rate : for the squared error summed over the factors of a track; it steps down to a
        tenth at each share of the epochs in `steps`
    crop_frames : length of the random crop along time, of 599
    validation, test : shares of the matched tracks
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

    def __post_init__(self):
        # JSON gives lists back
        object.__setattr__(self, "steps", tuple(self.steps))

    def learning_rate_at(self, epoch):
        """The learning rate of an epoch, counted from 0."""
        steps_taken = sum(epoch >= share * self.epochs for share in self.steps)
        return self.learning_rate * 0.1**steps_taken


def pick_device(name):
    """The torch device for auto, cpu, cuda or mps. Raises AudiorecError when it is not there."""
    available = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        name = next(device for device, there in available.items() if there)
    if not available[name]:
        raise AudiorecError(f"no {name} device on this machine: use --device cpu or --device auto")
    return torch.device(name)


def fit(open_reader, examples, *, network, training, device, earlier=None, on_batch, on_epoch):
    """Train a network on Examples, to the last epoch of its settings.

    open_reader : as in Excerpts; network : NetworkSettings; training : TrainingSettings
    earlier : the Checkpoint to go on from, None to begin
    on_batch : called with the number of excerpts and the loss of each training batch
    on_epoch : called after each epoch with what Checkpoint keeps of it, as keyword arguments
    Raises AudiorecError when the loss is not finite.
    """
    if earlier is None:
        mean, deviation = mel_statistics(open_reader, examples.excerpts["train"])
    else:
        mean, deviation = earlier.mel_mean, earlier.mel_deviation
    torch.manual_seed(training.seed)
    model = Network(network, mel_mean=mean, mel_deviation=deviation).to(device)
    loaders = _loaders(open_reader, examples, training, pin_memory=device.type == "cuda")
    trainer = Trainer(model, training, **loaders)
    if earlier is not None:
        trainer.resume(earlier)
    with closing_loaders(*loaders.values()):
        while trainer.epochs_done < training.epochs:
            trainer.run_epoch(on_batch=on_batch)
            on_epoch(mel_mean=mean, mel_deviation=deviation, **trainer.state())


def _loaders(open_reader, examples, settings, *, pin_memory):
    loaders = {}
    for part, crop_frames in (("train", settings.crop_frames), ("validation", None)):
        excerpts = Excerpts(
            open_reader,
            examples.excerpts[part],
            targets=examples.targets[part],
            crop_frames=crop_frames,
            seed=settings.seed,
        )
        loaders[part] = Loader(
            excerpts,
            batch_size=settings.batch_size,
            shuffle=part == "train",
            pin_memory=pin_memory,
        )
    return loaders


class Trainer:
    """Trains a network epoch by epoch, and can go on from where another one stopped.

    network : on its device; train, validation : Loaders of (mels, target factors)
    """

    def __init__(self, network, settings, *, train, validation):
        self.network = network
        self.settings = settings
        self._loaders = {"train": train, "validation": validation}
        self._device = network.output.weight.device
        self._optimizer = torch.optim.SGD(
            network.parameters(),
            lr=settings.learning_rate,
            momentum=settings.momentum,
            nesterov=settings.momentum > 0,
        )
        self.history = {column: [] for column in Checkpoint.HISTORY}
        self.best_weights = self._weights()

    @property
    def epochs_done(self):
        """Number of finished epochs."""
        return len(self.history["epoch"])

    def run_epoch(self, *, on_batch=lambda n, loss: None):
        """Train and validate once. Keeps the weights if no epoch before had a lower loss.

        on_batch : called with the number of excerpts and the loss of each training batch
        Raises AudiorecError when the loss is not finite.
        """
        epoch, began = self.epochs_done, time.monotonic()
        learning_rate = self.settings.learning_rate_at(epoch)
        train_loss = self._train(epoch, learning_rate, on_batch)
        validation_loss = self._validate()
        if not math.isfinite(validation_loss):
            raise AudiorecError(_diverged(epoch, learning_rate))
        if validation_loss < min(self.history["validation_loss"], default=math.inf):
            self.best_weights = self._weights()
        row = (epoch + 1, learning_rate, train_loss, validation_loss, time.monotonic() - began)
        for column, value in zip(Checkpoint.HISTORY, row, strict=True):
            self.history[column].append(value)

    def _train(self, epoch, learning_rate, on_batch):
        self.network.train()
        # dropout too depends on seed and epoch alone
        torch.manual_seed(self.settings.seed * 1_000_003 + epoch)
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate
        total = 0.0
        for mels, targets in self._loaders["train"].epoch(epoch):
            self._optimizer.zero_grad()
            loss = functional.mse_loss(self.network(self._moved(mels)), self._moved(targets))
            # the sum over the factors: how steep it is does not depend on their number
            (loss * targets.shape[1]).backward()
            self._optimizer.step()
            value = loss.item()
            if not math.isfinite(value):
                raise AudiorecError(_diverged(epoch, learning_rate))
            total += value * len(mels)
            on_batch(len(mels), value)
        return total / len(self._loaders["train"].excerpts)

    @torch.inference_mode()
    def _validate(self):
        self.network.eval()
        total = 0.0
        for mels, targets in self._loaders["validation"].epoch(0):
            predicted = self.network(self._moved(mels))
            total += functional.mse_loss(predicted, self._moved(targets)).item() * len(mels)
        return total / len(self._loaders["validation"].excerpts)

    def _moved(self, tensor):
        return tensor.to(self._device, non_blocking=True)

    def _weights(self):
        return _to_arrays(self.network.state_dict())

    def state(self):
        """What Checkpoint keeps of the training, as its keyword arguments."""
        names = [name for name, _ in self.network.named_parameters()]
        momentum = self._optimizer.state_dict()["state"]
        return {
            "weights": self.best_weights,
            "latest_weights": self._weights(),
            "optimizer": _to_arrays(
                {names[i]: s["momentum_buffer"] for i, s in momentum.items() if s}
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
        names = [name for name, _ in self.network.named_parameters()]
        if not set(checkpoint.optimizer) <= set(names):
            raise AudiorecError(OTHER_NETWORK)
        state = self._optimizer.state_dict()
        state["state"] = {
            names.index(name): {"momentum_buffer": torch.from_numpy(buffer.copy())}
            for name, buffer in checkpoint.optimizer.items()
        }
        self._optimizer.load_state_dict(state)


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
