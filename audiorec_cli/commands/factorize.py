"""audiorec factorize: latent factors from a listening log."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import typer

from audiorec_cli import console


def factorize(
    log: Annotated[
        Path,
        typer.Argument(metavar="LOG", help="CSV or TSV with a header, or Taste Profile triplets."),
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Factors file to write.")] = Path(
        "factors.h5"
    ),
    factors: Annotated[int, typer.Option(min=1, help="Number of latent factors.")] = 40,
    alpha: Annotated[
        float, typer.Option(min=0, help="α in the confidence 1 + α·log(1 + plays/ε).")
    ] = 2.0,
    epsilon: Annotated[float, typer.Option(min=1e-9, help="ε in the confidence.")] = 1.0,
    regularization: Annotated[float, typer.Option(min=0, help="λ of the least squares.")] = 1.0,
    iterations: Annotated[int, typer.Option(min=1, help="Sweeps over both sides.")] = 20,
    group_by: Annotated[
        str | None,
        typer.Option(help="Column to take as the listener: a session, a playlist …"),
    ] = None,
    user_column: Annotated[str | None, typer.Option(help="Column of the listener.")] = None,
    track_column: Annotated[str | None, typer.Option(help="Column of the track.")] = None,
    plays_column: Annotated[
        str | None, typer.Option(help="Column of the number of plays; without one, a row is one.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the random start.")] = 0,
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
    n_fitted, n_read = len(fitted.log.tracks), len(reading.plays.tracks)
    console.note(
        f"{out}: {factors} factors of {n_fitted} {reading.items}"
        + (f"; {n_read - n_fitted} share no listener with the rest" if n_fitted < n_read else "")
    )


def _describe(log, reading):
    plays = reading.plays
    console.note(
        f"{log}: {plays.plays.sum():.0f} plays of {len(plays.tracks)} {reading.items} "
        f"by {len(plays.user_id)} listeners"
        + (f"; {reading.broken_rows} broken rows left out" if reading.broken_rows else "")
    )
    if reading.items == "artists":
        console.note("the log knows no tracks, so its artists are taken as the items")
