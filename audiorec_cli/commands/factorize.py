"""audiorec factorize: latent factors from a listening log."""

from dataclasses import asdict, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from audiorec_cli import console
from audiorec_cli.errors import AudiorecError
from audiorec_cli.listening.log_settings import LOG_FORMATS, Columns, LogSettings
from audiorec_cli.listening.settings import CHOICES, SAMPLED, SETTINGS
from audiorec_cli.names import normalised
from audiorec_cli.options import DEFAULT_NAMES, Seed, enum_of

SESSION = "session"
DAY_S = 24 * 3600
Model = enum_of("Model", SETTINGS)
LogFormat = enum_of("LogFormat", LOG_FORMATS)
Confidence, Counts, Proposal = (
    enum_of(name.title(), CHOICES[name]) for name in ("confidence", "counts", "proposal")
)


def _option(help_text, **limits):
    return typer.Option(help=help_text, **limits)


def _of_log(*names_and_help, **options):
    *names, help_text = names_and_help
    return typer.Option(*names, help=help_text, rich_help_panel="The log", **options)


def _day(text):
    """The midnight, UTC, that a day begins with."""
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no day such as 2024-12-31.") from error


def _of_models(setting, help_text, **limits):
    """An option of some models, whose help says which and what each takes unless it is given."""
    defaults = {
        name: getattr(settings(), setting)
        for name, settings in SETTINGS.items()
        if hasattr(settings, setting)
    }
    shown = ", ".join(f"{name} {default}" for name, default in defaults.items())
    return typer.Option(help=help_text, show_default=shown, rich_help_panel="The models", **limits)


LogFile = Annotated[
    Path,
    typer.Argument(metavar="LOG", help="A listening log: a file, a folder of them, or a zip."),
]
OutFile = Annotated[Path, typer.Argument(metavar="OUT", help="Factors file to write.")]
ModelOption = Annotated[
    Model,
    _option(
        "als: weighted matrix factorization; bpr: Bayesian personalised ranking; lmf: logistic "
        "matrix factorization; vector-exp: a softmax over all tracks."
    ),
]
NFactors = Annotated[
    int, _option("Number of latent factors, no more than there are listeners, or tracks.", min=1)
]
Holdout = Annotated[
    float,
    _option(
        "Share of the tracks, whole artists, to set aside before fitting: their plays are kept in "
        "the file as truth to test against, but no factor has seen them.",
        min=0,
        max=0.999,
    ),
]
ConfidenceOption = Annotated[
    Confidence | None,
    _of_models("confidence", "log: 1 + α·log(1 + plays/ε); linear: 1 + α·plays."),
]
Alpha = Annotated[float | None, _of_models("alpha", "α in the confidence.", min=0, max=1e6)]
Epsilon = Annotated[
    float | None, _of_models("epsilon", "ε in the confidence log.", min=1e-9, max=1e9)
]
CountsOption = Annotated[
    Counts | None,
    _of_models("counts", "What a listener's plays of a track count: all, log(1 + plays), or 1."),
]
Regularization = Annotated[
    float | None,
    _of_models(
        "regularization",
        "λ of the penalty on large factors; for vector-exp as a share of the least λ with which "
        "all are 0.",
        min=0,
        max=1e6,
    ),
]
LearningRate = Annotated[
    float | None, _of_models("learning_rate", "Learning rate.", min=1e-9, max=1e3)
]
Iterations = Annotated[int | None, _of_models("iterations", "Sweeps over the log.", min=1)]
ProposalOption = Annotated[
    Proposal | None,
    _of_models(
        "proposal",
        "What a sampled softmax draws tracks by: their popularity, or log-uniformly in their rank "
        "by it; none: the full softmax; auto: none, or log-uniform for a large log.",
    ),
]
NSamples = Annotated[
    int | None,
    _of_models("n_samples", "Tracks that the sampled softmax draws a step.", min=1, max=10**7),
]
FormatOption = Annotated[
    LogFormat | None,
    _of_log(
        "--format",
        "; ".join(f"{name}: {what}" for name, what in LOG_FORMATS.items()) + ".",
        show_default="by content",
        metavar="FORMAT",
    ),
]
Since = Annotated[
    datetime | None,
    _of_log("Only plays of this day or later, UTC.", parser=_day, metavar="YYYY-MM-DD"),
]
Until = Annotated[
    datetime | None,
    _of_log("Only plays of this day or before, UTC.", parser=_day, metavar="YYYY-MM-DD"),
]
HalfLife = Annotated[
    float | None,
    _of_log(
        "A play so many days older than the last one in the log counts half, one twice as old a "
        "quarter, and so on.",
        min=1e-3,
        metavar="DAYS",
    ),
]
MinPlays = Annotated[float, _of_log("Leave out tracks with fewer plays.", min=0)]
MinListeners = Annotated[
    int,
    _of_log(
        "Leave out tracks with fewer listeners, or with --group-by session fewer sessions.", min=1
    ),
]
GroupBy = Annotated[
    str | None,
    _of_log(
        "session: split each listener where nothing was played for 30 minutes, which makes many of "
        "one person; or a column to split by, such as a playlist.",
        metavar="session|COLUMN",
    ),
]
UserColumn = Annotated[str | None, _of_log("Column of the listener.", metavar="COLUMN")]
TrackColumn = Annotated[str | None, _of_log("Column of the track's id.", metavar="COLUMN")]
TitleColumn = Annotated[str | None, _of_log("Column of the track's title.", metavar="COLUMN")]
ArtistColumn = Annotated[str | None, _of_log("Column of the artist.", metavar="COLUMN")]
PlaysColumn = Annotated[
    str | None,
    _of_log("Column of the number of plays; without one, a row is one.", metavar="COLUMN"),
]
TimestampColumn = Annotated[str | None, _of_log("Column of the time of a play.", metavar="COLUMN")]


def factorize(
    log: LogFile, out: OutFile = DEFAULT_NAMES["factors"], model: ModelOption = Model.als,
    factors: NFactors = 40, holdout: Holdout = 0.0, seed: Seed = 0, log_format: FormatOption = None,
    group_by: GroupBy = None, since: Since = None, until: Until = None, half_life: HalfLife = None,
    min_plays: MinPlays = 0, min_listeners: MinListeners = 1, user_column: UserColumn = None,
    track_column: TrackColumn = None, title_column: TitleColumn = None,
    artist_column: ArtistColumn = None, plays_column: PlaysColumn = None,
    timestamp_column: TimestampColumn = None, confidence: ConfidenceOption = None,
    alpha: Alpha = None, epsilon: Epsilon = None, counts: CountsOption = None,
    regularization: Regularization = None, learning_rate: LearningRate = None,
    iterations: Iterations = None, proposal: ProposalOption = None, samples: NSamples = None,
):  # fmt: skip
    """Fit latent factors to a listening log by one of four models.

    The log may be what Spotify (as zip or folder), Last.fm exporters, ListenBrainz or Maloja give
    you, a data set (Taste Profile, Last.fm-1K and 360K, Million Playlist), or any CSV, TSV or
    Parquet whose columns have usual names: user_id, track_id (or artist and title), plays. It is
    recognised by its content.

    Taste needs many listeners to tell tracks apart. The history of one person, of any service, is
    split into sessions: audiorec factorize my_spotify_data.zip --group-by session

    Podcasts, and what Spotify says was played for under 30 s, are left out. So are rows without a
    listener, a track or a number of plays: these are shown, and more than 1 % of them is an error.

    A log with artists only gives factors of artists; join them to songs with: audiorec train
    --match artist. An option that has no part in the model chosen is an error.
    """
    options = {
        "n_factors": factors, "confidence": confidence, "alpha": alpha, "epsilon": epsilon,
        "counts": counts, "regularization": regularization, "learning_rate": learning_rate,
        "iterations": iterations, "proposal": proposal, "n_samples": samples, "seed": seed,
    }  # fmt: skip
    log_settings = _log_settings(
        {"user": user_column, "track": track_column, "title": title_column,
         "artist": artist_column, "plays": plays_column, "time": timestamp_column},
        group_by, since, until, format=log_format and str(log_format), min_plays=min_plays,
        min_listeners=min_listeners, half_life_days=half_life,
    )  # fmt: skip
    _fit_log(log, out, _settings(model, options), log_settings, holdout)


def _fit_log(log, out, settings, log_settings, holdout):
    """Read a log, fit factors to it and save them; refuse an `out` that cannot be written."""
    from audiorec_cli import files
    from audiorec_cli.listening import logs

    files.require_writable(out, "factors")
    reading = logs.read_log(log, log_settings)
    describe_reading(log, reading)
    _describe_ids(log_settings.columns.track, reading)
    fitted = _fit(reading, settings, _held_out(reading, holdout, settings.seed))
    params = {**fitted.params, "items": reading.items, "log": asdict(log_settings)}
    if holdout:
        params["holdout"] = holdout
    files.save_factors(out, replace(fitted, params=params))
    _describe_result(out, reading, fitted)


def _log_settings(columns, group_by, since, until, **others):
    if since and until and since > until:
        raise AudiorecError("--since is a later day than --until: swap them")
    by_session = group_by == SESSION
    group = None if by_session else group_by
    return LogSettings(
        columns=Columns(**columns, group=group, of_one=by_session),
        since=since and since.timestamp(),
        until=until and until.timestamp() + DAY_S,
        by_session=by_session,
        **others,
    )


def _settings(model, options):
    """The model's settings from the options given. AudiorecError for those it does not have."""
    given = {name: value for name, value in options.items() if value is not None}
    for name in given:
        owners = [other for other, kind in SETTINGS.items() if hasattr(kind, name)]
        if model.value not in owners:
            flag = name.removeprefix("n_").replace("_", "-")
            raise AudiorecError(f"--{flag} goes with --model {_either(owners)}: leave it out")
    plain = {name: str(v) if isinstance(v, StrEnum) else v for name, v in given.items()}
    settings = SETTINGS[model.value](**plain)
    _require_in_use(settings, given)
    return settings


def _require_in_use(settings, given):
    if "epsilon" in given and settings.confidence != "log":
        raise AudiorecError("--epsilon goes with --confidence log: leave it out")
    if "n_samples" in given and settings.proposal not in SAMPLED:
        raise AudiorecError(f"--samples goes with --proposal {_either(SAMPLED)}: name one too")


def _either(names):
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else last


def _held_out(reading, share, seed):
    """(n_tracks,) bool: the tracks to set aside, whole artists; None where none are asked for."""
    from audiorec_cli.convnet.splitting import draw_groups, groups_of

    if not share:
        return None
    tracks = reading.plays.tracks
    artists = [normalised(artist) for artist in tracks.artist]
    held_out = draw_groups(groups_of(artists, tracks.track_id), share=share, seed=seed)
    console.note(
        f"{held_out.sum()} of {len(tracks)} {reading.items} are held out: the fit does not see "
        "their plays"
    )
    return held_out


def _fit(reading, settings, held_out):
    from audiorec_cli.listening import factorization

    with console.progress("factorize", total=settings.iterations, unit="sweeps") as advance:
        return factorization.fit_factors(
            reading.plays,
            settings,
            held_out=held_out,
            on_step=lambda *likelihood: advance(1, *map(_shown, likelihood)),
        )


def _shown(log_likelihood):
    return f"log-likelihood {log_likelihood:.4f} a play"


def describe_reading(log, reading):
    """Note what a LogReading found in a log, and what is left out of it."""
    plays = reading.plays
    console.note(
        f"{log}: {reading.layout}"
        + (f" in {reading.n_files} files" if reading.n_files > 1 else "")
        + f": {plays.plays.sum():.0f} plays of {len(plays.tracks)} {reading.items} "
        f"by {console.counted(len(plays.user_id), 'listener')}"
    )
    if reading.rows_left_out:
        console.note(
            f"{console.counted(reading.rows_left_out, 'row')} left out: no play of a track, or one "
            "of under 30 s"
        )
    if reading.tracks_left_out:
        console.note(f"{reading.tracks_left_out} {reading.items} have too few plays or listeners")
    if reading.broken_rows:
        told = "; ".join(reading.broken_shown) + "; …" * (
            reading.broken_rows > len(reading.broken_shown)
        )
        console.note(f"{console.counted(reading.broken_rows, 'broken row')} left out: {told}")
    if reading.garbled:
        console.note(
            f"{console.counted(reading.garbled, 'name')} not in UTF-8, and spoilt: save the log in "
            "UTF-8 and read it again"
        )
    if reading.items == "artists":
        console.note("the log knows no tracks, so its artists are taken as the items")
    if reading.lacks == "artist" and "track" not in reading.named_by:
        console.note(
            "the log names no artists, so tracks of the same title count as one: call the column "
            "of the artists artist, if it has one"
        )


def _describe_ids(track_column, reading):
    if track_column and {"artist", "title"} & reading.named_by == {"artist"}:
        console.note(
            f"tracks are told apart by the column {track_column!r} alone: if it holds titles, name "
            "it with --title-column"
        )


def _describe_result(out, reading, fitted):
    n_tracks, n_factors = fitted.track_factors.shape
    n_lost, n_held_out = len(reading.plays.tracks) - n_tracks, fitted.is_held_out.sum()
    console.note(
        f"{out}: {n_factors} factors of {n_tracks - n_held_out} {reading.items}"
        + (f"; {n_lost} share no listener with the rest" if n_lost else "")
    )
