"""Several models' factors of one log, side by side."""

from dataclasses import replace

import numpy as np

from audiorec_cli.errors import AudiorecError
from audiorec_cli.records import Factors

ALIKE = "concatenate factors that were made from the same log with the same options"


def concatenate(parts, names=None):
    """Put the factors that several models found in one log side by side, each normalised [A].

    Each model's track factors are of unit norm, and are divided by √k for the k models so that
    the whole is. Each model's user factors are scaled to a root mean square of the rows' norms of
    1, for the models' scales differ and none is to outweigh another for its own.

    parts : k Factors of one log; names : what to call them in errors
    Returns Factors of the tracks that all have, in the order of the first; the norm is 1, or 0 for
    tracks held out. Raises AudiorecError when the log or the tracks held out are not the same.
    """
    names = names or [f"part {i + 1}" for i in range(len(parts))]
    shared = set.intersection(*(set(part.log.tracks.track_id) for part in parts))
    if not shared:
        raise AudiorecError(f"{names[0]} and the others have no track in common: {ALIKE}")
    track_ids = [track_id for track_id in parts[0].log.tracks.track_id if track_id in shared]
    parts = [_taken(part, track_ids) for part in parts]
    for name, part in zip(names[1:], parts[1:], strict=True):
        _require_same_log(parts[0], part, names[0], name)
    return Factors(
        log=parts[0].log,
        track_factors=np.hstack([part.track_factors for part in parts])
        / np.float32(np.sqrt(len(parts))),
        norm=np.where(parts[0].is_held_out, 0, 1).astype(np.float32),
        user_factors=np.hstack([_of_unit_scale(part.user_factors) for part in parts]),
        is_test=parts[0].is_test,
        params=_params([part.params for part in parts]),
    )


def _taken(factors, track_ids):
    """The same Factors with these tracks only, in this order."""
    row_of = factors.log.tracks.row_of_track_id
    rows = np.array([row_of[track_id] for track_id in track_ids])
    return replace(
        factors,
        log=factors.log.take(rows),
        track_factors=factors.track_factors[rows],
        norm=factors.norm[rows],
        is_test=factors.is_test[rows],
    )


def _require_same_log(first, other, first_name, name):
    for what, same in (
        ("listeners", first.log.user_id == other.log.user_id),
        ("plays", _same_plays(first.log.plays, other.log.plays)),
        ("tracks held out", np.array_equal(first.is_held_out, other.is_held_out)),
        ("test tracks", np.array_equal(first.is_test, other.is_test)),
    ):
        if not same:
            raise AudiorecError(f"{first_name} and {name} have other {what}: {ALIKE}")


def _same_plays(first, other):
    return first.shape == other.shape and (first != other).nnz == 0


def _of_unit_scale(factors):
    scale = np.sqrt((factors.astype(np.float64) ** 2).sum() / len(factors))
    return (factors / scale).astype(np.float32) if scale else factors


def _params(parts):
    """What all parts were made with; the settings of each model stand with the model."""
    common = {name: parts[0][name] for name in ("items", "log", "holdout") if name in parts[0]}
    return {"model": "concat", "parts": parts, **common}
