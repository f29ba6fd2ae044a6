"""audiorec recommend: the tracks that a listener would like best, played by somebody or not."""

import numpy as np
import typer

from audiorec_cli import console
from audiorec_cli.commands.listeners import (
    Reasons,
    has_taste,
    heard_by,
    listener_of_history,
    listener_of_log,
    read_history,
)
from audiorec_cli.commands.listing import entries_of, limits_of, require_list
from audiorec_cli.commands.outlying import (
    DropOutliers,
    OutlierScore,
    check_dropping,
    outlier_rows,
)
from audiorec_cli.commands.predicted import load_predicted
from audiorec_cli.commands.recommend_options import (
    LISTENING_FIRST,
    AllUsers,
    Blend,
    BlendAt,
    BlendCheckpoint,
    Diversity,
    HistoryFile,
    HistoryFormat,
    K,
    KeepHeard,
    NewOnly,
    User,
    trust_of,
)
from audiorec_cli.commands.similar_options import MaxPerArtist, PlaylistOut
from audiorec_cli.commands.tasting import checkpoint_of, sureness_of, taste_of
from audiorec_cli.errors import AudiorecError
from audiorec_cli.options import FactorsFile, Json, PredictionsFile, RelativeTo, found
from audiorec_cli.retrieval.recommendation import Recommender, Rules

COLUMNS = ("rank", "score", "listeners", "artist", "title", "because", "track_id", "path")


def recommend(
    user: User = None, k: K = 30, history: HistoryFile = None, all_users: AllUsers = None,
    new_only: NewOnly = False, keep_heard: KeepHeard = False, max_per_artist: MaxPerArtist = None,
    diversity: Diversity = 0.0, drop_outliers: DropOutliers = False,
    outlier_score: OutlierScore = None, blend: Blend = False, blend_at: BlendAt = None,
    out: PlaylistOut = None, relative_to: RelativeTo = None, predictions: PredictionsFile = None,
    factors: FactorsFile = None, checkpoint: BlendCheckpoint = None,
    log_format: HistoryFormat = None, as_json: Json = False,
):  # fmt: skip
    """List the tracks of the library that a listener would like best and has not heard.

    The score is the cosine of the listener's factors and the track's: those of listening where they
    know a play of it, those predicted from its sound where not, which count as much less as tracks
    not trained on were predicted amiss. The column listeners counts whose plays they know, because
    names what of the listener's plays speaks most for the track.
    """
    _check_request(user, history, log_format, all_users)
    _check_output(all_users, history, out, relative_to, as_json)
    check_dropping(drop_outliers, outlier_score)
    path, predicted = load_predicted(predictions, checkpoint=checkpoint)
    factors_path = found("factors", factors)
    trust = _trust(new_only, blend, blend_at)
    trained = checkpoint_of(path, predicted, checkpoint, needed=trust is None)
    taste = taste_of(path, predicted, factors_path, trained, trust=trust)
    allowed = _allowed(path, taste, new_only, drop_outliers, outlier_score)
    limits = limits_of(predicted.tracks, {"artist": max_per_artist})
    rules = Rules(min(k, int(allowed.sum())), tuple(limits), diversity)
    recommender = Recommender(taste.coordinates, allowed, rules, sureness_of(taste, trained))
    if all_users is not None:
        return _recommend_to_all(taste, recommender, rules.k, keep_heard, all_users)
    listener, taste = _listener(user, history, log_format, taste)
    ranked = _ranked(listener, recommender, keep_heard, len(allowed))
    return _print_or_write(ranked, listener, taste, out, relative_to, as_json)


def _check_request(user, history, log_format, all_users):
    if user is None and history is None and all_users is None:
        raise typer.BadParameter(
            "name a listener, or --history FILE, or --all-users OUT.", param_hint="USER"
        )
    if all_users is not None and (user is not None or history is not None):
        raise AudiorecError("--all-users goes without USER and --history: leave them out")
    if log_format is not None and history is None:
        raise AudiorecError("--format goes with --history: add that, or leave --format out")


def _trust(new_only, blend, blend_at):
    """The C to blend with, None to choose it; of what has no listener there is nothing to blend."""
    if not new_only:
        return trust_of(blend, blend_at)
    if blend or blend_at is not None:
        console.note("what nobody has played is placed by sound alone: --blend changes nothing")
    return LISTENING_FIRST


def _check_output(all_users, history, out, relative_to, as_json):
    if all_users is None:
        return require_list(out, relative_to, as_json, source=history)
    if out is not None or relative_to is not None or as_json:
        raise AudiorecError("--all-users goes without --out, --relative-to and --json")
    return _require_table(all_users)


def _require_table(out):
    from audiorec_cli import files
    from audiorec_cli.output.recommendations import SUFFIX, is_ours
    from audiorec_cli.output.writing import require_file

    if out.suffix.lower() == SUFFIX:
        require_file(out)
        if out.exists() and not is_ours(out):
            raise AudiorecError(
                f"{out} exists and holds no recommendations: name another file to write"
            )
        return None
    if out.suffix.lower() not in files.SUFFIXES:
        raise AudiorecError(f"{out}: no known format: end its name in .h5 or {SUFFIX}")
    return files.require_writable(out, "recommendations")


def _allowed(path, taste, new_only, drop_outliers, outlier_score):
    """(n,) bool: the tracks that the options let into a list."""
    is_allowed = np.ones(len(taste.predicted.tracks), dtype=bool)
    if new_only:
        is_allowed = taste.known.is_new
        if not is_allowed.any():
            raise AudiorecError(
                "the factors know a play of every track of the library: leave out --new-only, "
                "or add new tracks with 'audiorec mels' and 'audiorec predict'"
            )
    if drop_outliers:
        is_outlier = outlier_rows(path, taste.predicted, taste.known, min_score=outlier_score)
        return is_allowed & ~is_outlier
    return is_allowed


def _listener(user, history, log_format, taste):
    """The Listener, and a Taste whose factors know all that he or she played."""
    if history is None:
        return listener_of_log(user, taste.factors, taste.known), taste
    read = read_history(history, user, taste.predicted, log_format and str(log_format))
    listener, factors = listener_of_history(read, taste.predicted, taste.factors, taste.known)
    return listener, taste._replace(factors=factors)


def _ranked(listener, recommender, keep_heard, n_tracks):
    """The list for one listener: pairs of (row, score)."""
    from scipy.sparse import csr_matrix

    heard = np.zeros((1, n_tracks), dtype=bool)
    if not keep_heard:
        heard[0, listener.heard] = True
    rows, scores = next(recommender.best(listener.factors[None], lambda _: csr_matrix(heard)))
    if not len(rows):
        raise AudiorecError(
            f'nothing is left to recommend to "{listener.name}": '
            + ("ask for less with fewer options" if keep_heard else "try --keep-heard")
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
    because = Reasons(taste.factors, predicted, taste.coordinates).of(listener.plays, rows)
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

    log, vectors = taste.factors.log, taste.factors.user_factors
    users = np.flatnonzero(has_taste(taste.factors))

    def heard(part):
        if keep_heard:
            return csr_matrix((len(users[part]), len(taste.predicted.tracks)))
        return heard_by(log.plays[users[part]], taste.known)

    recommended = np.full((len(users), k), -1, dtype=np.int32)
    scores = np.zeros(recommended.shape, dtype=np.float32)
    with console.progress("recommend", total=len(users), unit="listeners") as advance:
        for place, (rows, own) in enumerate(recommender.best(vectors[users], heard)):
            recommended[place, : len(rows)], scores[place, : len(rows)] = rows, own
            advance()
    if not (recommended >= 0).any():
        raise AudiorecError("nothing is left to recommend to anybody: try --keep-heard")
    _save(taste, users, recommended, scores, out)


def _save(taste, users, recommended, scores, out):
    from audiorec_cli import files
    from audiorec_cli.output.recommendations import SUFFIX, write_parquet
    from audiorec_cli.records import Recommendations

    user_ids = taste.factors.log.user_id
    made = Recommendations(
        user_id=[user_ids[row] for row in users],
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
    n_served = int((recommended >= 0).any(axis=1).sum())
    n_left_out = len(user_ids) - n_served
    k = recommended.shape[1]
    console.note(
        f"{out}: {console.counted(k, 'track')} at most for {console.counted(n_served, 'listener')}"
        + f"; {n_left_out} get none: nothing is known of them, or left for them" * bool(n_left_out)
    )
