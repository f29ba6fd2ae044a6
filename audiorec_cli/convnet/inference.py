"""Predicted factors, and a network rebuilt from its checkpoint."""

from typing import NamedTuple

import numpy as np
import torch

from audiorec_cli.convnet.descriptors import timbre
from audiorec_cli.convnet.loading import Excerpts, Loader, closing_loaders
from audiorec_cli.convnet.network import Network
from audiorec_cli.convnet.settings import NetworkSettings
from audiorec_cli.convnet.training import OTHER_NETWORK, load_weights
from audiorec_cli.errors import AudiorecError


def network_of(checkpoint, device):
    """The trained network of a Checkpoint, on a torch device, ready to predict.

    Raises AudiorecError when the checkpoint's settings or weights make no network.
    """
    try:
        settings = NetworkSettings(**checkpoint.settings["network"])
        if checkpoint.mel_mean.shape != (settings.n_mels,):
            raise ValueError("mel statistics of another size")
        network = Network(
            settings, mel_mean=checkpoint.mel_mean, mel_deviation=checkpoint.mel_deviation
        )
    except (TypeError, ValueError, KeyError, RuntimeError) as error:
        raise AudiorecError(OTHER_NETWORK) from error
    load_weights(network, checkpoint.weights)
    return network.to(device).eval()


class Predicted(NamedTuple):
    """What is predicted of tracks, and heard of them on the way.

    factors : (n_tracks, n_factors) float32, unit norm
    deviation : of each, the same shape, on the same scale; None where the network predicts none
    mel_statistics : (n_tracks, 2 * n_mels) float32, mean and deviation of each mel bin over time
    """

    factors: np.ndarray
    deviation: np.ndarray | None
    mel_statistics: np.ndarray


@torch.inference_mode()
def predict_factors(network, open_reader, excerpt_track, n_tracks, *, batch_size, on_batch):
    """Predict the factors of every track, averaged over its excerpts as its mel statistics are.

    open_reader : as in Excerpts; excerpt_track : (n_excerpts,) row of each excerpt's track
    on_batch : called with the number of excerpts of each batch
    Returns Predicted. Raises AudiorecError for a track that comes to no direction.
    """
    device, n_factors = network.output.weight.device, network.settings.n_factors
    totals, squares = np.zeros((n_tracks, n_factors)), np.zeros((n_tracks, n_factors))
    heard = np.zeros((n_tracks, 2 * network.settings.n_mels), np.float32)
    loader = Loader(Excerpts(open_reader, np.arange(len(excerpt_track))), batch_size=batch_size)
    with closing_loaders(loader):
        for mels, rows in loader.epoch(0):
            mels = mels.to(device)
            predicted = network(mels).cpu().numpy()
            mean, log_variance = predicted[:, :n_factors], predicted[:, n_factors:]
            tracks = excerpt_track[rows.numpy()]
            np.add.at(totals, tracks, mean)
            np.add.at(heard, tracks, timbre(mels.float()).cpu().numpy())
            if network.settings.predict_variance:
                np.add.at(squares, tracks, np.exp(log_variance) + np.square(mean, dtype=float))
            on_batch(len(rows))
    factors = _of_unit_norm(totals)
    n_excerpts = np.bincount(excerpt_track, minlength=n_tracks)[:, None]
    deviation = None
    if network.settings.predict_variance:
        deviation = _deviation(totals / n_excerpts, squares / n_excerpts)
    heard /= n_excerpts
    return Predicted(factors, deviation, heard)


def _of_unit_norm(totals):
    norm = np.linalg.norm(totals, axis=1, keepdims=True)
    if not (np.isfinite(norm).all() and norm.all()):
        raise AudiorecError(
            "some tracks come to no factors, so spectrograms or checkpoint hold no good numbers: "
            "make them again with 'audiorec mels' and 'audiorec train'"
        )
    return (totals / norm).astype(np.float32)


def _deviation(mean, mean_square):
    """The deviation of each factor of a mixture of Gaussians, on the scale of unit norm.

    mean, mean_square : (n_tracks, n_factors) of the mixture; the variance of an equal mixture is
    the mean of the variances and the variance of the means
    """
    norm = np.linalg.norm(mean, axis=1, keepdims=True)
    return (np.sqrt(mean_square - mean**2) / norm).astype(np.float32)
