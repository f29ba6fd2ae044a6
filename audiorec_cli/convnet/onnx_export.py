"""The network as an ONNX file, which other programs run, and whether they get the same from it."""

import contextlib
import logging
import warnings

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from audiorec_cli import __version__
from audiorec_cli.errors import AudiorecError

INPUT = "log_mel_spectrogram"
USUAL_FRAMES = 599  # [A]'s; others do as well
OPSET = 18  # what the exporter writes without converting
TOLERANCE = 1e-4  # far above rounding, far below what moves a track among its neighbours
DESCRIPTION = """\
Latent factors of music from its sound.
log_mel_spectrogram: (batch, n_mels, n_frames), log(1 + compression * mel magnitude) by the settings
in the metadata: mono at sample_rate, a periodic Hann window of n_fft samples every hop_length
samples, no padding, Slaney's mel filters of unit area up to half the sample rate; any number of
frames from min_frames.
factors: (batch, n_factors), of unit norm, what 'audiorec predict' gives for a track of one excerpt.
norm: (batch,), their norm before that. The factors of a track of several excerpts are the sum of
norm * factors over them, scaled to unit norm.
deviation: (batch, n_factors), the standard deviation of each factor, where there is one."""


class AsPredicted(nn.Module):
    """What predict says of tracks of one excerpt each.

    network : Network, ready to predict
    """

    def __init__(self, network):
        super().__init__()
        self.network = network

    @property
    def output_names(self):
        """Names of what it returns, in order."""
        variance = self.network.settings.predict_variance
        return ["factors", "norm", "deviation"] if variance else ["factors", "norm"]

    def forward(self, log_mel_spectrogram):
        """Returns factors (batch, n_factors) of unit norm, their norm before (batch,), deviation.

        log_mel_spectrogram : (batch, n_mels, n_frames) float32
        The deviation, (batch, n_factors), is there where the network predicts one.
        """
        outputs = self.network(log_mel_spectrogram)
        mean, log_variance = outputs.tensor_split([self.network.settings.n_factors], dim=1)
        norm = torch.linalg.vector_norm(mean, dim=1)
        factors = functional.normalize(mean, dim=1)
        if not self.network.settings.predict_variance:
            return factors, norm
        return factors, norm, (log_variance / 2).exp() / norm[:, None]


@torch.no_grad()
def onnx_bytes(network, properties):
    """A Network, on the CPU and ready to predict, as an ONNX file for batches of any size.

    properties : {name: text} for the file's metadata
    Raises AudiorecError where this torch cannot export it. DESCRIPTION tells inputs and outputs.
    """
    predictor = AsPredicted(network).eval()
    # sizes of 0 and 1 would be taken for constants
    example = torch.zeros(2, network.settings.n_mels, _usual_frames(network.settings))
    try:
        with _quiet():
            program = torch.onnx.export(
                predictor,
                (example,),
                dynamo=True,
                input_names=[INPUT],
                output_names=predictor.output_names,
                dynamic_shapes=({0: "batch", 2: "frames"},),
                opset_version=OPSET,
                optimize=False,
                verbose=False,
            )
    except torch.onnx.OnnxExporterError as error:
        _repeat_interrupt(error)
        raise AudiorecError(
            f"torch {torch.__version__} cannot export this network to ONNX: upgrade torch and "
            "onnxscript"
        ) from error
    _simplify(program.model)
    _describe(program.model, properties)
    return program.model_proto.SerializeToString()


def _repeat_interrupt(error):
    """Raise KeyboardInterrupt where that is what an error of the exporter comes from."""
    while error is not None:
        if isinstance(error, KeyboardInterrupt):
            raise KeyboardInterrupt from error
        error = error.__cause__ or error.__context__


@contextlib.contextmanager
def _quiet():
    """Without what the exporter says of packages and Python that have nothing to do with it."""
    threshold = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(threshold)


def _simplify(model):
    """Compute what is constant, and leave out what is not needed.

    The exporter's own optimisation is not asked for: it takes numbers below 1e-8 for zero, and so
    loses what keeps deviations above it.
    """
    from onnx_ir.passes import common
    from onnxscript import optimizer

    for _ in range(2):
        optimizer.fold_constants(model)
        optimizer.remove_unused_nodes(model)
    for tidy in (
        common.CommonSubexpressionEliminationPass(),
        common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
        common.DeduplicateInitializersPass(),
    ):
        tidy(model)


def _describe(model, properties):
    model.producer_name, model.producer_version = "audiorec", __version__
    model.doc_string = DESCRIPTION
    model.metadata_props.update(properties)
    # they tell the paths of this machine
    for part in (model.graph, *model.graph.all_nodes()):
        part.metadata_props.clear()


@torch.no_grad()
def largest_difference(data, network):
    """How far what onnxruntime makes of an ONNX file is from what the network gives.

    data : bytes of onnx_bytes; network : as there
    Returns the largest absolute difference, of what exceeds 1 as a share of it, over spectrograms
    of several lengths and batches, and how many there were.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    predictor, largest, n = AsPredicted(network), [], 0
    for mels in _trials(network):
        expected = predictor(torch.from_numpy(mels))
        found = session.run(predictor.output_names, {INPUT: mels})
        n += len(mels)
        for ours, theirs in zip(expected, found, strict=True):
            ours = ours.numpy()
            largest.append(np.max(np.abs(theirs - ours) / np.maximum(1, np.abs(ours))))
    return float(np.max(largest)), n


def shortest_input(settings):
    """Frames of the shortest spectrogram that a network of these NetworkSettings takes."""
    return settings.window_frames or settings.min_frames


def _usual_frames(settings):
    return max(USUAL_FRAMES, 2 * shortest_input(settings))


def _trials(network):
    """Spectrograms like those that the network was trained on, and some that end in silence."""
    settings, random = network.settings, np.random.default_rng(0)
    mean, deviation = network.mel_mean.numpy(), network.mel_deviation.numpy()
    usual, shortest = _usual_frames(settings), shortest_input(settings)
    for n, length in ((1, usual), (3, usual), (2, shortest), (2, usual + shortest)):
        noise = random.normal(size=(n, settings.n_mels, length))
        mels = np.maximum(mean + deviation * noise, 0).astype(np.float32)
        if n > 1:
            mels[-1, :, length // 2 :] = 0
        yield mels
