"""What a mels file, a factors file and predictions have to do with one another."""

from typing import NamedTuple

import numpy as np

from audiorec_cli import console
from audiorec_cli.commands.own_space import in_own_space
from audiorec_cli.errors import AudiorecError
from audiorec_cli.matching import artists_and_titles
from audiorec_cli.names import normalised


class Listened(NamedTuple):
    """What listening tells of the n tracks of a library.

    log_rows : (n,) int64, the row of each in the log, -1 where it is not there
    factors : (n, n_factors) float32, unit norm; zero where the fit did not see the track
    listeners : (n,) int64, those of whom the fit knew; 0 where it did not see the track
    """

    log_rows: np.ndarray
    factors: np.ndarray
    listeners: np.ndarray

    @property
    def is_new(self):
        """(n,) bool: tracks of which the fit saw no play."""
        return self.listeners == 0


def listened(tracks, factors):
    """The Listened of a library's Tracks, by Factors; every song is its artist where these are.

    Raises AudiorecError where no track is in the log.
    """
    from audiorec_cli import matching

    by_artist = factors.params.get("items") == "artists"
    matches = matching.match(tracks, factors.log.tracks, by_artist=by_artist)
    log_rows = np.full(len(tracks), -1)
    log_rows[matches.library_rows] = matches.log_rows
    known = np.flatnonzero(log_rows >= 0)
    known = known[~factors.is_held_out[log_rows[known]]]
    vectors = np.zeros((len(tracks), factors.track_factors.shape[1]), dtype=np.float32)
    vectors[known] = factors.track_factors[log_rows[known]]
    listeners = np.zeros(len(tracks), dtype=np.int64)
    listeners[known] = factors.log.tracks.listeners[log_rows[known]]
    return Listened(log_rows, vectors, listeners)


def examples_of(library, listening, settings, *, by_artist):
    """What a network learns from: the tracks that library and log share, split by artist.

    library : Mels; listening : Listening; settings : TrainingSettings
    by_artist : every song takes the factors, or the plays, of its artist
    Returns Examples, and notes how many there are. Raises AudiorecError where they are too few.
    """
    from audiorec_cli import matching
    from audiorec_cli.convnet.examples import make_examples

    log, is_test = listening.log, listening.is_test
    matches = matching.match(library.tracks, log.tracks, by_artist=by_artist)
    _describe_matches(matches, library.tracks)
    groups = groups_of_matches(library.tracks, log.tracks, matches)
    check_sizes(settings, is_test[matches.log_rows])
    learnt = {"plays": log.plays}
    if listening.factors is not None:
        learnt = {"factors": listening.factors.track_factors}
    try:
        examples = make_examples(library, matches, groups, settings, is_test=is_test, **learnt)
    except ValueError as error:
        raise AudiorecError(
            f"{len(groups)} tracks of the library are in the log, and training, validation and "
            "test need one each: add tracks to the library or the log"
            + _test_artists(is_test[matches.log_rows])
        ) from error
    _describe_examples(examples, len(groups), listening)
    return examples


def groups_of_matches(library, logged, matches):
    """What to keep together of the matched tracks: the artist by the library's tag, else the log's.

    library : Tracks; logged : LoggedTracks; matches : Matches
    Returns one text a match.
    """
    from audiorec_cli.convnet.splitting import groups_of

    tracks = library.take(matches.library_rows)
    in_log = artists_and_titles(logged)
    artists = [
        normalised(tag or in_log[row][0])
        for (tag, _), row in zip(artists_and_titles(tracks), matches.log_rows, strict=True)
    ]
    groups = groups_of(artists, tracks.track_id)
    if len(set(groups)) == len(groups) > len(set(artists)):
        console.note("too few artists are known to keep them apart: the tracks are split singly")
    return groups


def check_sizes(settings, is_test):
    """Refuse TrainingSettings whose parts leave nothing to train on, or are no size for a part.

    is_test : (n,) bool, of the tracks that library and log share
    """
    from audiorec_cli.convnet.splitting import number_of

    for part in ("validation", "test"):
        size = getattr(settings, part)
        if size == 0 or (size > 1 and size != int(size)):
            raise AudiorecError(
                f"--{part} {size:g}: give a share between 0 and 1, or a whole number of tracks"
            )
    if is_test.any() and settings.test != type(settings)().test:
        raise AudiorecError("the factors file says which tracks are tested: leave out --test")
    n = np.count_nonzero(~is_test)
    sizes = (settings.validation,) if is_test.any() else (settings.validation, settings.test)
    wanted = sum(number_of(size, n) for size in sizes)
    if 0 < n <= wanted:
        raise AudiorecError(
            f"{wanted:.0f} tracks set apart leave none of {n} to train on: ask for fewer with "
            "--validation or --test"
        )


def _test_artists(is_test):
    if not is_test.any():
        return ""
    return f"; {is_test.sum()} are test tracks, and others by their artists are left out"


def _describe_matches(matches, tracks):
    by_key = ", ".join(f"{n} by {key}" for key, n in matches.by_key.items() if n)
    console.note(f"{len(matches.library_rows)} of {len(tracks)} tracks are in the log: {by_key}")


def _describe_examples(examples, n_matched, listening):
    n = {part: len(ids) for part, ids in examples.track_ids.items()}
    console.note(
        f"{n['train']} tracks to train on; {n['validation']} tracks to validate on; "
        f"{n['test']} tracks to test on"
    )
    if n_left_out := n_matched - sum(n.values()):
        why = ["by artists of test tracks"] * bool(listening.is_test.any())
        if listening.factors is None:
            why.append("without a listener who plays another track to train on")
        console.note(f"{n_left_out} tracks are {' or '.join(why)} and left out")


def objective_of(settings, listening, examples):
    """The objective that TrainingSettings name, for Listening and Examples made of it.

    Raises AudiorecError for the weighted prediction error with factors that know no confidence.
    """
    from audiorec_cli.convnet import objectives

    if settings.is_contrastive:
        return _contrast_of(settings, listening.log, examples)
    if settings.objective == "likelihood":
        return objectives.Likelihood()
    if settings.objective == "mse":
        return objectives.MeanSquaredError()
    if settings.objective == "cosine":
        return objectives.CosineDistance()
    factors = listening.factors
    return objectives.WeightedPredictionError(
        _confidences(factors),
        factors.user_factors,
        factors.fitted_track_factors,
        examples.log_rows["train"],
    )


def _contrast_of(settings, log, examples):
    from audiorec_cli.convnet import contrast
    from audiorec_cli.convnet.pairs import SharedListeners

    rows = (examples.log_rows[part] for part in ("train", "validation"))
    shared = SharedListeners(log.plays, *rows)
    if settings.contrast == "drlim":
        return contrast.DrLIM(shared, examples, seed=settings.seed, margin=settings.margin)
    return contrast.InfoNCE(shared, examples, seed=settings.seed, temperature=settings.temperature)


def _confidences(factors):
    """The confidence that the fit put in each play, tracks × users."""
    from audiorec_cli.listening.factorization import confidence, settings_of

    if factors.params.get("model") != "als":
        raise AudiorecError(
            "--objective wpe weighs plays as weighted matrix factorization does, and these factors "
            "are of another model: make them with 'audiorec factorize LOG', or use --objective mse"
        )
    return confidence(factors.log.plays, settings_of(factors.params)).T.tocsr()


def require_same_factors(path, predicted, factors, factors_path):
    """Refuse Predictions of a file at `path` that lie in another space than Factors do."""
    if in_own_space(predicted):
        raise AudiorecError(
            f"{path} holds predictions in a space of their own, of a contrast of plays, and not in "
            f"that of {factors_path}: for this train with another --objective, and predict anew"
        )
    n_predicted, n_factors = predicted.predicted_factors.shape[1], factors.track_factors.shape[1]
    learnt = predicted.params.get("factors") or factors.fingerprint
    if n_predicted != n_factors or learnt != factors.fingerprint:
        raise AudiorecError(
            f"{path} holds predictions of other factors than {factors_path} has: name the "
            "--factors that the network was trained on, or train on these and predict anew"
        )
