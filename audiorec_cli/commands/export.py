"""audiorec export: predictions and networks in the formats of other programs."""

import importlib.util
import json
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from audiorec_cli import console
from audiorec_cli.commands.predicted import load_predicted
from audiorec_cli.errors import AudiorecError
from audiorec_cli.options import CheckpointFile, PredictionsFile, enum_of, found

Format = enum_of("Format", ("npz", "npy", "parquet", "voyager", "projector", "onnx", "safetensors"))
FORMATS = {
    ".npz": Format.npz, ".npy": Format.npy, ".parquet": Format.parquet, ".voy": Format.voyager,
    "": Format.projector, ".onnx": Format.onnx, ".safetensors": Format.safetensors,
}  # fmt: skip
OF_NETWORK = (Format.onnx, Format.safetensors)
# What is not installed with the rest
PACKAGES = {
    Format.voyager: ("voyager",),
    Format.onnx: ("onnx", "onnxscript"),
    Format.safetensors: ("safetensors",),
}
# What files of these formats begin with, and what stands near the ends of those written here
BEGINNINGS = {Format.npz: b"PK", Format.parquet: b"PAR1", Format.voyager: b"VOYA"}
MARKS = {
    Format.npz: b"predicted_factors",
    Format.parquet: b"predicted_factors",
    Format.onnx: b"audiorec",
    Format.safetensors: b"created_by",
}
NEAR_ENDS = 1 << 16  # bytes
DRAWN, K = 200, 10  # tracks that tell how many of their nearest an index finds
DEEP = 100  # candidates that a query may look at, to find nearly all; Voyager's own number is 10
# Of the settings, what tells how to make the spectrograms that a network takes
SPECTROGRAM = ("sample_rate", "n_fft", "hop_length", "n_mels", "seconds", "compression")

Out = Annotated[
    Path,
    typer.Argument(
        metavar="OUT",
        help="File to write, which ends in .npz, .npy, .parquet, .voy, .onnx or .safetensors; or a "
        "folder for TensorBoard's projector.",
    ),
]
FormatOption = Annotated[
    Format | None,
    typer.Option("--format", help="What to write.", show_default="by the end of OUT"),
]


def export(
    out: Out,
    format_: FormatOption = None,
    predictions: PredictionsFile = None,
    checkpoint: CheckpointFile = None,
):
    """Write predictions for NumPy, Parquet, Voyager or TensorBoard, or a network as ONNX.

    Of the predictions: .npz and .npy for NumPy, the latter the factors alone; .parquet, a row a
    track; .voy, an index for Voyager, Spotify's library for nearest neighbours, in which the id of
    a track is its row, and beside it the list of their track_ids, .names.json; or a folder that
    TensorBoard's projector shows.

    Of the checkpoint: .onnx, the network, which onnxruntime runs and must predict the same from
    before it is written; its metadata tells how to make the spectrograms. Or .safetensors, the
    weights and all that is needed to build their network.

    Voyager, ONNX and safetensors come with: pip install 'audiorec[export]'
    """
    chosen = format_ or _format_of(out)
    _require_packages(chosen)
    if chosen in OF_NETWORK:
        if predictions is not None:
            raise AudiorecError(f"--predictions has no part in {chosen.value}: leave it out")
        _require_file(out, chosen)
        (_write_onnx if chosen is Format.onnx else _write_safetensors)(checkpoint, out)
    else:
        if checkpoint is not None:
            raise AudiorecError(f"--checkpoint has no part in {chosen.value}: leave it out")
        _require_place(chosen, out)
        path, predicted = load_predicted(predictions)
        if not len(predicted.tracks):
            raise AudiorecError(f"{path} holds no tracks: make it again with 'audiorec predict'")
        _write_predictions(chosen, predicted, out)


def _format_of(out):
    if out.is_dir():
        if out.suffix.lower() in FORMATS and out.suffix:
            raise AudiorecError(
                f"{out} is a folder: name a file to write, or say --format projector"
            )
        return Format.projector
    is_other = out.exists() or out.name.startswith(".")
    if out.suffix.lower() not in FORMATS or (not out.suffix and is_other):
        known = ", ".join(filter(None, FORMATS))
        raise AudiorecError(
            f"{out}: no known format: end its name in one of {known}, or say --format projector "
            "for a folder"
        )
    return FORMATS[out.suffix.lower()]


def _require_packages(chosen):
    for name in PACKAGES.get(chosen, ()):
        if importlib.util.find_spec(name) is None:
            raise AudiorecError(
                f"{chosen.value} needs the package {name}: pip install 'audiorec[export]'"
            )


def _require_place(chosen, out):
    """Refuse a place that this format cannot be written to, before work goes into it."""
    if chosen is Format.projector:
        from audiorec_cli.output.projector import require_projector

        require_projector(out)
        return
    _require_file(out, chosen)
    if chosen is Format.voyager:
        from audiorec_cli.output.voyager_index import names_path
        from audiorec_cli.output.writing import require_file

        names = names_path(out)
        require_file(names)
        if names.exists() != out.exists():
            there, lacking = (names, "index") if names.exists() else (out, "list of names")
            raise AudiorecError(
                f"{there} exists without its {lacking}, so it is something else: name another file "
                "to write"
            )


def _require_file(out, chosen):
    """Refuse a place that no file can be written to, and a file that is something else."""
    from audiorec_cli.output.writing import require_file

    require_file(out)
    if not out.exists():
        return
    is_such = FORMATS.get(out.suffix.lower()) is chosen
    if not is_such or not _is_written_here(out, chosen):
        raise AudiorecError(
            f"{out} exists and is no {chosen.value} file that export wrote: name another file to "
            "write"
        )
    console.note(f"{out}: what is there is replaced")


def _is_written_here(path, chosen):
    """Whether a file looks like one of this format that export wrote."""
    if chosen is Format.npy:
        return _holds_factors(path)
    if chosen is Format.voyager and not _holds_names(path):
        return False
    with open(path, "rb") as file:
        first = file.read(NEAR_ENDS)
        file.seek(max(0, path.stat().st_size - NEAR_ENDS))
        last = file.read()
    is_such = first.startswith(BEGINNINGS.get(chosen, b""))
    return is_such and any(MARKS.get(chosen, b"") in part for part in (first, last))


def _holds_factors(path):
    """Whether a file is an array like predicted factors: (n, n_factors) float32 of unit norm."""
    from audiorec_cli.records import UNIT_NORM_TOLERANCE

    try:
        array = np.lib.format.open_memmap(path, mode="r")  # which takes no objects, nor archives
    except (ValueError, EOFError, OSError):
        return False
    if array.ndim != 2 or array.dtype != np.float32 or not len(array):
        return False
    return bool(abs(np.linalg.norm(array[0]) - 1) < UNIT_NORM_TOLERANCE)


def _holds_names(path):
    """Whether beside an index lies a JSON list of texts."""
    from audiorec_cli.output.voyager_index import names_path

    try:
        names = json.loads(names_path(path).read_bytes())
    except (ValueError, OSError):
        return False
    return isinstance(names, list) and all(isinstance(name, str) for name in names)


def _write_predictions(chosen, predicted, out):
    from audiorec_cli.output import projector, tables
    from audiorec_cli.output.voyager_index import names_path
    from audiorec_cli.output.writing import write_whole

    n_tracks, n_factors = predicted.predicted_factors.shape
    told = f"{out}: {n_factors} factors of {console.counted(n_tracks, 'track')}"
    if chosen is Format.voyager:
        usual, deep = _write_index(predicted, out)
        told += f" and {names_path(out).name}"
        told += (
            f"; of the {min(K, n_tracks)} nearest it finds {usual:.1%}, with query_ef={DEEP} "
            f"{deep:.1%}"
        )
    elif chosen is Format.projector:
        projector.write_projector(predicted, out)
        told += f"; run tensorboard --logdir {out} and open {projector.ADDRESS}"
    else:
        data_of = {
            Format.npz: tables.npz_bytes,
            Format.npy: tables.npy_bytes,
            Format.parquet: tables.parquet_bytes,
        }
        write_whole(data_of[chosen](predicted), out)
    console.note(told)


def _write_index(predicted, out):
    """Write an index for Voyager; returns what share of the nearest it finds, also by DEEP."""
    from audiorec_cli.output.voyager_index import built_index, write_index

    factors = predicted.predicted_factors
    with console.progress("export", total=len(factors), unit="tracks") as advance:
        index = built_index(factors, on_batch=advance)
    write_index(index, predicted.tracks.track_id, out)
    return _share_found(index, factors), _share_found(index, factors, query_ef=DEEP)


def _share_found(index, factors, **how):
    """Of the K nearest of tracks drawn at random, the share that an index finds.

    how : options of its query
    """
    from audiorec_cli.retrieval.neighbors import cosines, nearest

    k = min(K, len(factors))
    drawn = np.random.default_rng(0).permutation(len(factors))[:DRAWN]
    found, _ = index.query(factors[drawn], k=k, **how)
    n_found = 0
    for row, rows in zip(drawn, found.astype(np.int64), strict=True):
        _, exact = nearest(factors[row], factors, k)
        # of equally near tracks one is as good as another
        n_found += int((cosines(factors[row], factors[rows]) >= exact[-1] - 1e-6).sum())
    return n_found / (k * len(drawn))


def _write_safetensors(checkpoint, out):
    from audiorec_cli import files
    from audiorec_cli.convnet.safetensors_export import safetensors_bytes
    from audiorec_cli.output.writing import write_whole

    trained = files.load_checkpoint(found("checkpoint", checkpoint))
    write_whole(safetensors_bytes(trained), out)
    n_weights = sum(weights.size for weights in trained.weights.values())
    console.note(f"{out}: {n_weights:,} weights")


def _write_onnx(checkpoint, out):
    import torch

    from audiorec_cli import files
    from audiorec_cli.convnet import inference, onnx_export
    from audiorec_cli.output.writing import write_whole

    trained = files.load_checkpoint(found("checkpoint", checkpoint))
    network = inference.network_of(trained, torch.device("cpu"))
    properties = _properties(trained, network.settings)
    console.note("tracing the network, which may take a minute")
    data = onnx_export.onnx_bytes(network, properties)
    told = _compared(data, network, out)
    write_whole(data, out)
    console.note(f"{out}: {told}")


def _properties(trained, settings):
    """What the metadata of an ONNX file tells: {name: text}."""
    from audiorec_cli.convnet.onnx_export import shortest_input

    spectrogram = trained.settings.get("spectrogram")
    if not isinstance(spectrogram, dict):
        console.note("the checkpoint does not say how its spectrograms were made")
        spectrogram = {}
    numbers = {name: spectrogram.get(name) for name in SPECTROGRAM}
    told = {
        **{name: value for name, value in numbers.items() if isinstance(value, int | float)},
        "n_mels": settings.n_mels,
        "n_factors": settings.n_factors,
        "min_frames": shortest_input(settings),
        "fingerprint": trained.fingerprint,
    }
    return {name: str(value) for name, value in told.items()}


def _compared(data, network, out):
    """Run an ONNX file beside the network that it is of, and tell how far apart they are.

    Raises AudiorecError where it is another one.
    """
    from audiorec_cli.convnet import onnx_export

    if importlib.util.find_spec("onnxruntime") is None:
        return "not compared, as onnxruntime is not installed: pip install 'audiorec[export]'"
    difference, n = onnx_export.largest_difference(data, network)
    if not difference <= onnx_export.TOLERANCE:
        raise AudiorecError(
            f"{out} is not written: onnxruntime predicts something else from it, {difference:.1g} "
            "apart: try other versions of torch, onnxscript and onnxruntime"
        )
    return f"onnxruntime predicts the same, {difference:.1g} apart at most in {n} spectrograms"
