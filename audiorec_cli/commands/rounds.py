"""What `evaluate` evaluates: a trained network, or networks trained anew for each fold."""

import contextlib
import hashlib
import json
import re
import shlex
import tempfile
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import typer

from audiorec_cli import console
from audiorec_cli.commands.joining import check_sizes
from audiorec_cli.commands.own_space import factors_in_space_of, in_own_space
from audiorec_cli.commands.predict import write_predictions
from audiorec_cli.commands.train import Finished, settings_of_arguments, train
from audiorec_cli.commands.train_options import Match
from audiorec_cli.errors import AudiorecError
from audiorec_cli.records import Factors, Mels, Predictions

NETWORK = "network"  # what one is called that has no name
# options that a fold sets itself
FOLDS_OWN = ("mels", "factors", "log", "out", "resume", "device", "test")
UsageError = typer.BadParameter.__base__  # of which typer tells nothing but the subclass


@dataclass(frozen=True)
class Round:
    """One set of test tracks, the factors that were learned from and the networks' predictions.

    ceiling : factors fitted to all plays, those of the test tracks too
    split : part → track_ids; by_artist : the log's items are artists
    predictions : name of the network → Predictions
    """

    library: Mels
    factors: Factors
    ceiling: Factors
    split: dict[str, list[str]]
    by_artist: bool
    predictions: dict[str, Predictions]

    def rows_of(self, part):
        """Tracks of a part of the split that the log knows: their rows in the library and in it."""
        wanted, ids = set(self.split[part]), self.library.tracks.track_id
        rows = self._matches.library_rows
        chosen = np.array([ids[row] in wanted for row in rows], dtype=bool)
        return rows[chosen], self._matches.log_rows[chosen]

    def user_factors_for(self, predicted):
        """(n_users, n_factors) of the log's listeners, in the space of these Predictions.

        In one of its own they are placed by the tracks to train and to validate on alone.
        """
        if not in_own_space(predicted):
            return self.factors.user_factors
        log_rows, row_of = np.full(len(predicted.tracks), -1), predicted.tracks.row_of_track_id
        for part in ("train", "validation"):
            for row, log_row in zip(*self.rows_of(part), strict=True):
                place = row_of.get(self.library.tracks.track_id[row])
                if place is not None:
                    log_rows[place] = log_row
        placed = factors_in_space_of(predicted.predicted_factors, log_rows, self.factors)
        return placed.user_factors

    @cached_property
    def _matches(self):
        from audiorec_cli import matching

        logged = self.factors.log.tracks
        return matching.match(self.library.tracks, logged, by_artist=self.by_artist)


def round_of_network(library, factors, trained, predictions):
    """The round of a trained network, tested on the tracks that its training left out."""
    by_artist = trained.settings.get("match") == "artist"
    networks = {NETWORK: predictions}
    return Round(library, factors, _fitted_to_all(factors), trained.split, by_artist, networks)


def factors_by_id(factors, tracks, rows):
    """Unit-norm factors (k, n_factors) and norm (k,) of another log's tracks, zero where unknown.

    tracks : LoggedTracks; rows : (k,) of them
    """
    row_of = factors.log.tracks.row_of_track_id
    unit = np.zeros((len(rows), factors.track_factors.shape[1]), dtype=np.float32)
    norm = np.zeros(len(rows), dtype=np.float32)
    for place, row in enumerate(rows):
        there = row_of.get(tracks.track_id[row])
        if there is not None:
            unit[place], norm[place] = factors.track_factors[there], factors.norm[there]
    return unit, norm


def _fitted_to_all(factors):
    from audiorec_cli.listening.factorization import fit_again

    if not factors.is_held_out.any():
        return factors
    console.note("fitting factors to all plays, for the ceiling")
    return fit_again(factors)


def candidates_to_rank(log, tracks, items, min_listeners):
    """Candidates of a log. AudiorecError where they are too few.

    log : Plays; tracks : (k,) rows of the library; items : (k,) the log's rows that they match
    """
    from audiorec_cli.evaluation.candidates import candidates_of

    candidates = candidates_of(log, tracks, items, min_listeners=min_listeners)
    if len(candidates.items) < 2:
        raise AudiorecError(
            f"{len(candidates.items)} test tracks have {min_listeners} listeners or more, which "
            "is nothing to rank: ask for fewer with --min-listeners, or add tracks"
        )
    return candidates


def recipe_of(options):
    """The arguments of `train` in a text of its options. Wrong options are wrong usage."""
    app = typer.Typer()
    app.command()(train)
    try:
        context = typer.main.get_command(app).make_context("train", shlex.split(options))
    except ValueError as error:
        raise _wrong(options, "there is an open quotation") from error
    except UsageError as error:
        raise _wrong(options, error.format_message()) from error
    arguments = dict(context.params)
    for name in FOLDS_OWN:
        if context.get_parameter_source(name).name == "COMMANDLINE":
            raise _wrong(options, f"evaluate itself sets --{name}: leave it out")
        del arguments[name]
    return arguments


def _wrong(options, why):
    return typer.BadParameter(f"{options}: {why}", param_hint="--train")


class Folds:
    """Cross-validation over artists: factors, networks and predictions made anew for each fold.

    mels_path : of the library; factors : what is fitted anew, to its own log
    recipes : name → arguments of `train`
    protocol : "strict" holds the tracks of a fold out of the fit as well, "paper" does not
    folder : where each fold's files are kept, and taken from where they are there already
    """

    def __init__(self, mels_path, factors, recipes, protocol, *, seed, device, folder):
        from audiorec_cli import files, matching

        self._mels_path, self._factors, self._recipes = mels_path, factors, recipes
        self._protocol, self._seed, self._device = protocol, seed, device
        self._library = files.load_mels(mels_path)
        self._by_artist = factors.params.get("items") == "artists"
        self._matches = matching.match(
            self._library.tracks, factors.log.tracks, by_artist=self._by_artist
        )
        self._folder = folder

    def rounds(self, n_folds, *, min_listeners):
        """Yield the Round of each fold.

        Raises AudiorecError, before anything is trained, when there are too few artists, too few
        test tracks in a fold with so many listeners, or a recipe that cannot be trained.
        """
        from audiorec_cli.convnet.splitting import folds_by_group

        try:
            folds = folds_by_group(self.groups, n_folds, seed=self._seed)
        except ValueError as error:
            n_artists = len(set(self.groups))
            raise AudiorecError(
                f"{n_artists} artists cannot be dealt into {n_folds} folds: ask for {n_artists} "
                "with --folds at most"
            ) from error
        for rows in folds:
            matched = self._matches.library_rows[rows], self._matches.log_rows[rows]
            candidates_to_rank(self._factors.log, *matched, min_listeners)
            self._check_recipes(rows)
        folder = self.folder_of(n_folds)
        for number, rows in enumerate(folds, start=1):
            console.note(f"fold {number} of {n_folds}: {len(rows)} tracks to test on")
            yield self.round_of(rows, folder / f"fold-{number}")

    @cached_property
    def groups(self):
        """What is never on both sides of a fold: one text, the artist, for each matched track."""
        from audiorec_cli.commands.joining import groups_of_matches

        return groups_of_matches(self._library.tracks, self._factors.log.tracks, self._matches)

    @cached_property
    def _ceiling(self):
        return _fitted_to_all(self._factors)

    def tracks_of(self, rows):
        """The library's rows (k,) of these rows (k,) of the matched tracks."""
        return self._matches.library_rows[rows]

    def round_of(self, rows, place):
        """The Round of these rows (k,) of the matched tracks; its files are kept in a folder."""
        ceiling = self._ceiling
        place.mkdir(parents=True, exist_ok=True)
        factors = self._fitted(rows, place / "factors.h5", ceiling)
        split, predictions = self._trained(place)
        return Round(self._library, factors, ceiling, split, self._by_artist, predictions)

    def _check_recipes(self, rows):
        """Refuse, before any is trained, recipes that make no network or no parts of the tracks."""
        is_test = np.isin(np.arange(len(self._matches.log_rows)), rows)
        for name, arguments in self._recipes.items():
            try:
                _, training = settings_of_arguments(self._mels_path, self._library, arguments)
                check_sizes(training, is_test)
            except AudiorecError as error:
                raise AudiorecError(f'--train "{name}": {error}') from error

    def folder_of(self, n_folds):
        """Where the files of these inputs are kept: those of others are never taken for them."""
        tracks, plays = self._library.tracks, self._factors.log.plays
        texts = tracks.track_id, tracks.artist, self._library.params, self._seed
        digest = hashlib.blake2b(json.dumps(texts).encode(), digest_size=8)
        digest.update(self._factors.fingerprint.encode())
        for array in (tracks.size, tracks.mtime_ns, plays.data, plays.indices, plays.indptr):
            digest.update(np.ascontiguousarray(array))
        return self._folder / f"{n_folds}-folds-{self._protocol}-{digest.hexdigest()}"

    def _fitted(self, rows, path, ceiling):
        """The factors of a fold; `ceiling` are those of a fit to all plays."""
        from audiorec_cli import files
        from audiorec_cli.listening.factorization import fit_again

        if path.exists():
            return files.load_factors(path)
        tested = {self._factors.log.tracks.track_id[row] for row in self._matches.log_rows[rows]}
        factors = self._factors if self._protocol == "strict" else ceiling
        is_test = np.array([name in tested for name in factors.log.tracks.track_id])
        if self._protocol == "strict":
            factors = fit_again(factors, is_test)
        else:
            factors = replace(factors, is_test=is_test)
        files.save_factors(path, factors)
        return factors

    def _trained(self, place):
        """The split of this fold, and what each recipe predicts."""
        from audiorec_cli import files

        predictions, split = {}, None
        for name, arguments in self._recipes.items():
            path = place / f"{_file_name(name)}.h5"
            predicted = path.with_suffix(".predictions.h5")
            if not path.exists():
                self._train(arguments, place / "factors.h5", path)
            elif predicted.exists():
                console.note(f"{path}: kept from before")
            if not predicted.exists():
                write_predictions(
                    mels=self._mels_path, checkpoint=path, out=predicted, device=self._device
                )
            split = split or files.load_checkpoint(path).split
            predictions[name] = files.load_predictions(predicted)
        return split, predictions

    def _train(self, arguments, factors, path):
        # a training that was stopped goes on under its own name
        unfinished = path.with_suffix(".unfinished.h5")
        match = Match.artist if self._by_artist else arguments["match"]
        with contextlib.suppress(Finished):
            train(
                **{**arguments, "match": match},
                mels=self._mels_path,
                factors=factors,
                out=unfinished,
                resume=unfinished.exists(),
                device=self._device,
            )
        unfinished.rename(path)


def _file_name(recipe):
    return re.sub(r"[^A-Za-z0-9.+]+", "-", recipe).strip("-")


@contextlib.contextmanager
def kept_or_temporary(folder):
    """The folder for the files of the folds: the one named, or one that goes away at the end."""
    if folder is not None:
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="audiorec-") as temporary:
        yield Path(temporary)
