"""Factors, checkpoints, predictions and recommendations: the kinds that are written whole."""

import numpy as np

from audiorec_cli.files.reading import attribute, opened, params, read, read_group
from audiorec_cli.files.writing import encoded, stamp, stored_dtype, written_whole
from audiorec_cli.records import (
    Checkpoint,
    Factors,
    LoggedTracks,
    Plays,
    Predictions,
    Recommendations,
    Tracks,
)


def save_factors(path, factors):
    """Write Factors to `path`, whole or not at all."""
    log, plays = factors.log, factors.log.plays
    values = {
        **{f"tracks/{c}": getattr(log.tracks, c) for c in LoggedTracks.columns()},
        "tracks/norm": factors.norm,
        "tracks/is_test": factors.is_test,
        "track_factors": factors.track_factors,
        "users/user_id": log.user_id,
        "user_factors": factors.user_factors,
        "plays/data": plays.data,
        "plays/indices": plays.indices,
        "plays/indptr": plays.indptr,
    }
    _save(path, "factors", values, factors.params)


def load_factors(path):
    """Read Factors from `path`; AudiorecError where it holds none."""
    from scipy.sparse import csr_matrix

    with opened(path, "factors") as file:
        n, m = len(file["tracks/track_id"]), len(file["users/user_id"])
        columns = read_group(file, "tracks")
        norm, is_test = columns.pop("norm"), columns.pop("is_test", np.zeros(n))
        csr = tuple(read(file, f"plays/{part}") for part in ("data", "indices", "indptr"))
        plays = csr_matrix(csr, shape=(m, n))
        plays.check_format(full_check=True)
        return Factors(
            log=Plays(read(file, "users/user_id"), LoggedTracks(**columns), plays),
            track_factors=read(file, "track_factors"),
            norm=norm,
            user_factors=read(file, "user_factors"),
            is_test=is_test.astype(bool),
            params=params(file),
        )


def save_checkpoint(path, checkpoint):
    """Write a Checkpoint to `path`, whole or not at all."""
    values = {"mel_mean": checkpoint.mel_mean, "mel_deviation": checkpoint.mel_deviation}
    for group in ("weights", "latest_weights", "optimizer", "history", "split"):
        for name, value in getattr(checkpoint, group).items():
            values[f"{group}/{name}"] = value
    _save(path, "checkpoint", values, checkpoint.settings, fingerprint=checkpoint.fingerprint)


def load_checkpoint(path):
    """Read a Checkpoint from `path`; AudiorecError where it holds none."""
    with opened(path, "checkpoint") as file:
        groups = ("weights", "latest_weights", "optimizer", "history", "split")
        return Checkpoint(
            settings=params(file),
            mel_mean=read(file, "mel_mean"),
            mel_deviation=read(file, "mel_deviation"),
            **{group: read_group(file, group) for group in groups},
        )


def save_predictions(path, predictions):
    """Write Predictions to `path`, whole or not at all."""
    values = {f"tracks/{c}": getattr(predictions.tracks, c) for c in Tracks.columns()}
    values["predicted_factors"] = predictions.predicted_factors
    for name in ("deviation", "mel_statistics"):
        if getattr(predictions, name) is not None:
            values[name] = getattr(predictions, name)
    _save(
        path,
        "predictions",
        values,
        predictions.params,
        fingerprint=predictions.fingerprint,
        audio_folder=predictions.audio_folder,
    )


def load_predictions(path):
    """Read Predictions from `path`; AudiorecError where it holds none."""
    with opened(path, "predictions") as file:
        return Predictions(
            tracks=Tracks(**read_group(file, "tracks")),
            predicted_factors=read(file, "predicted_factors"),
            **{name: read(file, name) for name in ("deviation", "mel_statistics") if name in file},
            fingerprint=attribute(file, "fingerprint"),
            audio_folder=attribute(file, "audio_folder"),
            params=params(file),
        )


def save_recommendations(path, recommendations):
    """Write Recommendations to `path`, whole or not at all."""
    tracks = recommendations.tracks
    values = {f"tracks/{c}": getattr(tracks, c) for c in Tracks.columns()}
    values["users/user_id"] = recommendations.user_id
    values["recommended"] = recommendations.recommended
    values["scores"] = recommendations.scores
    _save(
        path,
        "recommendations",
        values,
        recommendations.params,
        audio_folder=recommendations.audio_folder,
    )


def load_recommendations(path):
    """Read Recommendations from `path`; AudiorecError where it holds none."""
    with opened(path, "recommendations") as file:
        return Recommendations(
            user_id=read(file, "users/user_id"),
            tracks=Tracks(**read_group(file, "tracks")),
            recommended=read(file, "recommended"),
            scores=read(file, "scores"),
            audio_folder=attribute(file, "audio_folder"),
            params=params(file),
        )


def _save(path, kind, values, params, **attributes):
    n_bytes = sum(v.nbytes if isinstance(v, np.ndarray) else 64 * len(v) for v in values.values())
    with written_whole(path, n_bytes) as file:
        stamp(file, kind, params, **attributes)
        for name, value in values.items():
            file.create_dataset(
                name, data=encoded(kind, name, value), dtype=stored_dtype(kind, name)
            )
