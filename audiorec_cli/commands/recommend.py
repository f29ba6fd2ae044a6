"""audiorec recommend: the tracks that a listener would like best, played by somebody or not."""

import numpy as np
import typer

from audiorec_cli import console
from audiorec_cli.commands.listeners import (
    heard_by,
    listener_of_history,
    listener_of_log,
    read_history,
    reasons,
)
from audiorec_cli.commands.listing import entries_of, limits_of
from audiorec_cli.commands.predicted import load_predicted
from audiorec_cli.commands.recommend_options import (
    AllUsers,
    Blend,
    BlendAt,
    Diversity,
    History,
    HistoryFormat,
    K,
    KeepHeard,
    NewOnly,
    User,
    trust_of,
)
from audiorec_cli.commands.similar_options import MaxPerArtist, PlaylistOut
from audiorec_cli.commands.tasting import taste_of
from audiorec_cli.errors import AudiorecError
from audiorec_cli.options import (
    CheckpointFile,
    FactorsFile,
    Json,
    PredictionsFile,
    RelativeTo,
    found,
)

COLUMNS = ("rank", "score", "listeners", "artist", "title", "because", "track_id", "path")


def recommend(
    user: User = None, k: K = 30, history: History = None, all_users: AllUsers = None,
    new_only: NewOnly = False, keep_heard: KeepHeard = False, max_per_artist: MaxPerArtist = None,
    diversity: Diversity = 0.0, blend: Blend = False, blend_at: BlendAt = None,
    out: PlaylistOut = None, relative_to: RelativeTo = None, predictions: PredictionsFile = None,
    factors: FactorsFile = None, checkpoint: CheckpointFile = None,
    log_format: HistoryFormat = None, as_json: Json = False,
):  # fmt: skip
    """List the tracks of the library that a listener would like best and has not heard.

    The score is the cosine of the listener's factors and the track's: those of listening where the
    log has the track, those predicted from its sound where not. The column because names what of
    the listener's plays speaks most for it. Predictions that are not there are made.
    """
    _check_request(user, history, all_users, out, relative_to, as_json)
    path, predicted = load_predicted(predictions)
    factors_path = found("factors", factors)
    taste = taste_of(path, predicted, factors_path, checkpoint, trust=trust_of(blend, blend_at))
    limits = limits_of(predicted.tracks, {"artist": max_per_artist})
    recommender = _recommender(taste, (k, tuple(limits), diversity), new_only)
    if all_users is not None:
        return _recommend_to_all(taste, recommender, k, keep_heard, all_users)
    if history is not None:
        read = read_history(history, user, predicted, log_format and str(log_format))
        listener = listener_of_history(read, predicted, taste.factors, taste.known)
    else:
        listener = listener_of_log(user, taste.factors, taste.known)
    ranked = _ranked(listener, recommender, keep_heard, len(predicted.tracks))
    return _print_or_write(ranked, listener, taste, out, relative_to, as_json)


def _check_request(user, history, all_users, out, relative_to, as_json):
    from audiorec_cli.output.playlists import require_playlist

    if user is None and history is None and all_users is None:
        raise typer.BadParameter(
            "name a listener, or --history FILE, or --all-users OUT.", param_hint="USER"
        )
    if all_users is not None:
        if any(option for option in (user, history, out, as_json)):
            raise AudiorecError(
                "--all-users goes without USER, --history, --out and --json: leave them out"
            )
        return _require_table(all_users)
    if out is not None:
        require_playlist(out)
    elif relative_to is not None:
        raise AudiorecError("--relative-to goes with --out: name a playlist to write")
    if out == "-" and as_json:
        raise AudiorecError("stdout holds one thing: leave out --json, or name a file with --out")
    return None


def _require_table(out):
    from audiorec_cli import files
    from audiorec_cli.output.recommendations import SUFFIX
    from audiorec_cli.output.writing import require_file

    if out.suffix.lower() == SUFFIX:
        return require_file(out)
    if out.suffix.lower() not in files.SUFFIXES:
        raise AudiorecError(f"{out}: no known format: end its name in .h5 or {SUFFIX}")
    return files.require_writable(out, "recommendations")


def _recommender(taste, rules, new_only):
    from audiorec_cli.retrieval.recommendation import Recommender, Rules

    is_new = taste.known.is_new
    if new_only and not is_new.any():
        raise AudiorecError(
            "every track of the library has a play that the factors know: leave out --new-only, "
            "or add new tracks with 'audiorec mels' and 'audiorec predict'"
        )
    is_candidate = is_new if new_only else np.ones(len(is_new), dtype=bool)
    return Recommender(taste.coordinates, is_candidate, Rules(*rules))


def _ranked(listener, recommender, keep_heard, n_tracks):
    """The list for one listener: pairs of (row, score)."""
    from scipy.sparse import csr_matrix

    heard = np.zeros((1, n_tracks), dtype=bool)
    if not keep_heard:
        heard[0, listener.heard] = True
    rows, scores = next(recommender.best(listener.factors[None], csr_matrix(heard)))
    if not len(rows):
        raise AudiorecError(
            f"nothing is left to recommend to {listener.name}: "
            + ("add music, or leave out --new-only" if keep_heard else "try --keep-heard")
        )
    return list(zip(rows.tolist(), scores.tolist(), strict=True))


def _print_or_write(ranked, listener, taste, out, relative_to, as_json):
    from audiorec_cli.output.playlists import write_playlist

    rows, predicted = [row for row, _ in ranked], taste.predicted
    if out is not None:
        with console.writing_results():
            title = f"recommended to {listener.name}"
            entries = entries_of(rows, predicted)
            write_playlist(entries, out, title=title, relative_to=relative_to)
    if out == "-":
        return
    if out is not None:
        console.note(f"{out}: {console.counted(len(rows), 'track')}")
    because = reasons(listener, taste.factors, taste.coordinates[rows])
    tags = predicted.tracks.take(rows)
    listeners, scores = taste.known.listeners[rows].tolist(), [score for _, score in ranked]
    table = zip(
        range(1, len(rows) + 1), scores, listeners, tags.artist, tags.title, because,
        tags.track_id, tags.path, strict=True,
    )  # fmt: skip
    console.print_table(COLUMNS, list(table), as_json=as_json, for_machines=COLUMNS[-2:])


def _recommend_to_all(taste, recommender, k, keep_heard, out):
    """Write the lists of all listeners of the log whose taste is known."""
    from scipy.sparse import csr_matrix

    from audiorec_cli import files
    from audiorec_cli.output.recommendations import SUFFIX, write_parquet
    from audiorec_cli.records import Recommendations

    log, vectors = taste.factors.log, taste.factors.user_factors
    users = np.flatnonzero(vectors.any(axis=1))
    heard = heard_by(log.plays[users], taste.known)
    if keep_heard:
        heard = csr_matrix(heard.shape)
    recommended = np.full((len(users), k), -1, dtype=np.int32)
    scores = np.zeros((len(users), k), dtype=np.float32)
    with console.progress("recommend", total=len(users), unit="listeners") as advance:
        for place, (rows, own) in enumerate(recommender.best(vectors[users], heard)):
            recommended[place, : len(rows)], scores[place, : len(rows)] = rows, own
            advance()
    made = Recommendations(
        user_id=[log.user_id[row] for row in users],
        tracks=taste.predicted.tracks,
        recommended=recommended,
        scores=scores,
        audio_folder=taste.predicted.audio_folder,
        params={"trust": taste.trust, "fingerprint": taste.predicted.fingerprint},
    )
    if out.suffix.lower() == SUFFIX:
        write_parquet(made, out)
    else:
        files.save_recommendations(out, made)
    n_left_out = len(log.user_id) - len(users)
    console.note(
        f"{out}: {k} tracks for {console.counted(len(users), 'listener')}"
        + f"; {n_left_out} played nothing that the factors were fitted to" * bool(n_left_out)
    )
