"""audiorec factorize: latent factors from a listening log."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import typer

from audiorec_cli import console
from audiorec_cli.options import DEFAULT_NAMES, Seed


def _option(help_text, **limits):
    return typer.Option(help=help_text, **limits)


LogFile = Annotated[
    Path, typer.Argument(metavar="LOG", help="CSV or TSV with a header, or Taste Profile triplets.")
]
OutFile = Annotated[Path, typer.Argument(metavar="OUT", help="Factors file to write.")]
NFactors = Annotated[int, _option("Number of latent factors.", min=1)]
Alpha = Annotated[float, _option("α in the confidence 1 + α·log(1 + plays/ε).", min=0, max=1e6)]
Epsilon = Annotated[float, _option("ε in the confidence.", min=1e-9, max=1e9)]
Regularization = Annotated[float, _option("λ of the least squares.", min=0, max=1e6)]
Iterations = Annotated[int, _option("Sweeps over both sides.", min=1)]
GroupBy = Annotated[
    str | None, _option("Column that splits each listener: a session, a playlist …")
]
UserColumn = Annotated[str | None, _option("Column of the listener.")]
TrackColumn = Annotated[str | None, _option("Column of the track.")]
PlaysColumn = Annotated[
    str | None, _option("Column of the number of plays; without one, a row is one.")
]


def factorize(
    log: LogFile,
    out: OutFile = DEFAULT_NAMES["factors"],
    factors: NFactors = 40,
    alpha: Alpha = 2.0,
    epsilon: Epsilon = 1.0,
    regularization: Regularization = 1.0,
    iterations: Iterations = 20,
    group_by: GroupBy = None,
    user_column: UserColumn = None,
    track_column: TrackColumn = None,
    plays_column: PlaysColumn = None,
    seed: Seed = 0,
):
    """Fit latent factors to a listening log by weighted matrix factorization.

    Columns are found by their usual names: user_id, track_id (or artist and title), plays. A log
    with artists only gives factors of artists; join them to songs with: audiorec train --match
    artist.
    """
    from audiorec_cli import files
    from audiorec_cli.listening import factorization, logs

    files.require_writable(out, "factors")
    log_settings = logs.LogSettings(user_column, track_column, plays_column, group_by)
    reading = logs.read_log(log, log_settings)
    _describe(log, reading)
    settings = factorization.AlsSettings(
        n_factors=factors,
        alpha=alpha,
        epsilon=epsilon,
        regularization=regularization,
        iterations=iterations,
        seed=seed,
    )
    with console.progress("factorize", total=iterations, unit="sweeps") as advance:
        fitted = factorization.fit_als(reading.plays, settings, on_sweep=advance)
    params = {**fitted.params, "items": reading.items, "log": asdict(log_settings)}
    files.save_factors(out, replace(fitted, params=params))
    _describe_result(out, reading, fitted)


def _describe(log, reading):
    plays = reading.plays
    console.note(
        f"{log}: {plays.plays.sum():.0f} plays of {len(plays.tracks)} {reading.items} "
        f"by {len(plays.user_id)} listeners"
        + (f"; {reading.broken_rows} broken rows left out" if reading.broken_rows else "")
    )
    if reading.items == "artists":
        console.note("the log knows no tracks, so its artists are taken as the items")


def _describe_result(out, reading, fitted):
    n_tracks, n_factors = fitted.track_factors.shape
    n_lost = len(reading.plays.tracks) - n_tracks
    console.note(
        f"{out}: {n_factors} factors of {n_tracks} {reading.items}"
        + (f"; {n_lost} share no listener with the rest" if n_lost else "")
    )
