"""audiorec predict: factors for every track, from its sound."""

import functools
import os
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from audiorec_cli import console
from audiorec_cli.commands.own_space import in_own_space
from audiorec_cli.errors import AudiorecError
from audiorec_cli.options import (
    DEFAULT_NAMES,
    BatchSize,
    CheckpointFile,
    Device,
    DeviceOption,
    MelsFile,
    found,
)


def predict(
    mels: MelsFile = None,
    checkpoint: CheckpointFile = None,
    out: Annotated[Path, typer.Option(help="Predictions file to write.")] = DEFAULT_NAMES[
        "predictions"
    ],
    batch_size: BatchSize = 32,
    device: DeviceOption = Device.auto,
):
    """Predict the latent factors of every track of a mels file, heard or not, from its sound."""
    write_predictions(
        mels=found("mels", mels),
        checkpoint=found("checkpoint", checkpoint),
        out=out,
        batch_size=batch_size,
        device=device,
    )


def write_predictions(*, mels, checkpoint, out, batch_size=32, device=Device.auto):
    """Predict the tracks of the mels file with the checkpoint and write them to `out`."""
    from audiorec_cli import files, workers

    workers.load_ahead(workers.LOADER_MODULES)  # while this process loads torch
    from audiorec_cli.convnet import inference, training
    from audiorec_cli.records import Predictions

    files.require_writable(out, "predictions")
    library, trained = files.load_mels(mels), files.load_checkpoint(checkpoint)
    require_same_spectrograms(trained, library, mels)
    network = inference.network_of(trained, training.pick_device(device.value))
    n_excerpts = len(library.excerpt_track)
    with console.progress("predict", total=n_excerpts, unit="excerpts") as advance:
        predicted = inference.predict_factors(
            network,
            functools.partial(files.MelsReader, mels),
            library.excerpt_track,
            len(library.tracks),
            batch_size=batch_size,
            on_batch=advance,
        )
    predictions = Predictions(
        tracks=library.tracks,
        predicted_factors=predicted.factors,
        deviation=predicted.deviation,
        mel_statistics=predicted.mel_statistics.astype(np.float16),
        fingerprint=trained.fingerprint,
        audio_folder=library.audio_folder,
        params={
            "mels": os.path.abspath(mels),
            "checkpoint": os.path.abspath(checkpoint),
            "factors": trained.settings.get("factors"),
        },
    )
    _describe_replaced(out, predictions)
    files.save_predictions(out, predictions)
    console.note(
        f"{out}: factors of {len(library.tracks)} tracks"
        + (", with their deviations" if predicted.deviation is not None else "")
        + (", in a space of their own" if in_own_space(predictions) else "")
    )


def _describe_replaced(out, predictions):
    """Note where a file with predictions in another space is written over."""
    from audiorec_cli import files

    try:
        space = files.load_predictions(out).params.get("factors")
    except (AudiorecError, OSError):
        return  # none, or none that could be read
    if space != predictions.params["factors"]:
        console.note(f"{out}: predictions that were made by other factors are replaced")


def require_same_spectrograms(trained, library, mels):
    """Refuse spectrograms of other windows than the network was trained on."""
    trained_on = trained.settings.get("spectrogram", library.params)
    for name, value in trained_on.items():
        if library.params.get(name) != value:
            raise AudiorecError(
                f"{mels} has spectrograms of {name} {library.params.get(name)}, and the network "
                f"was trained on {value}: make them again with 'audiorec mels', or train on these"
            )
