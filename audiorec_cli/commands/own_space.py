"""Predictions in a space of their own, which a contrast of plays made and no factors define."""

from dataclasses import asdict, replace
from typing import NamedTuple

import numpy as np

from audiorec_cli.errors import AudiorecError
from audiorec_cli.options import found
from audiorec_cli.records import Factors, Plays

OWN_SPACE = "own space"  # where else the fingerprint of factors stands
# λ of listeners, a track: the more, the less what was not played counts. Chosen on real songs
REGULARIZATION = 10.0


class Listening(NamedTuple):
    """What a network learns from: a log, the tracks of it that are tested, and factors.

    is_test : (n_tracks,) bool; factors : None where there are none, or where none are learned from
    """

    log: Plays
    is_test: np.ndarray
    factors: Factors | None


def listening_of(factors_path, log_path, *, contrastive):
    """The Listening to train on: of a factors file, or to contrast plays of a log itself.

    factors_path : None for the only one in this folder; log_path : None for that in the factors
    """
    from audiorec_cli import files

    if log_path is not None:
        return _listening_of_log(factors_path, log_path, contrastive)
    if contrastive and factors_path is None and not files.find_all("factors"):
        raise AudiorecError(
            "no factors file in this folder whose log could be taken: name a listening log with "
            "--log, or a factors file with --factors"
        )
    factors = files.load_factors(found("factors", factors_path))
    return Listening(factors.log, factors.is_test, None if contrastive else factors)


def _listening_of_log(factors_path, log_path, contrastive):
    from audiorec_cli.commands.factorize import describe_reading
    from audiorec_cli.listening import logs
    from audiorec_cli.listening.log_settings import Columns, LogSettings

    if not contrastive:
        raise AudiorecError(
            "--log goes with --objective contrastive, and others learn from factors: make them "
            f"with 'audiorec factorize {log_path}'"
        )
    if factors_path is not None:
        raise AudiorecError("--log and --factors both name a log to learn from: leave one out")
    reading = logs.read_log(log_path, LogSettings(columns=Columns(has_options=False)))
    describe_reading(log_path, reading)
    return Listening(reading.plays, np.zeros(len(reading.plays.tracks), dtype=bool), None)


def in_own_space(predicted):
    """Whether Predictions lie in a space of their own."""
    return predicted.params.get("factors") == OWN_SPACE


def factors_in_space_of(predicted_factors, log_rows, factors):
    """Factors of the same log, in the space of predictions.

    predicted_factors : (n, n_factors) of a library's tracks
    log_rows : (n,) int64, the row of each in the log, -1 for tracks that must not count; tracks
        that share a row count as one, in their mean direction
    factors : Factors, in any space
    Tracks of the log that none of the library is are as if held out. Listeners are placed by the
    least squares of weighted matrix factorization with the confidence of its defaults, the tracks
    fixed where they are predicted; with zero who played none of the tracks.
    """
    from audiorec_cli.evaluation.candidates import of_unit_norm
    from audiorec_cli.listening.folding import fold_in_listeners
    from audiorec_cli.listening.settings import AlsSettings

    counted, log = np.flatnonzero(log_rows >= 0), factors.log
    totals = np.zeros((len(log.tracks), predicted_factors.shape[1]))
    np.add.at(totals, log_rows[counted], of_unit_norm(predicted_factors[counted]))
    is_known = totals.any(axis=1)
    settings = AlsSettings(regularization=REGULARIZATION * float(is_known.sum()))
    placed = Factors(
        log=log,
        track_factors=of_unit_norm(totals).astype(np.float32),
        norm=is_known.astype(np.float32),
        user_factors=np.zeros((len(log.user_id), totals.shape[1]), dtype=np.float32),
        is_test=factors.is_test | ~is_known,
        params={**factors.params, "model": "als", **asdict(settings)},
    )
    known = log.plays.multiply(is_known).tocsr()
    known.eliminate_zeros()
    return replace(placed, user_factors=fold_in_listeners(known, placed))
