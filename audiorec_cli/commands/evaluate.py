"""audiorec evaluate: how well tracks are ranked that the network never met, and beside what."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from audiorec_cli import console
from audiorec_cli.commands import rounds
from audiorec_cli.commands.joining import require_same_factors
from audiorec_cli.commands.own_space import in_own_space
from audiorec_cli.commands.predicted import found_or_made
from audiorec_cli.errors import AudiorecError
from audiorec_cli.evaluation.contest import COMPARED, FIGURES, Contest
from audiorec_cli.options import (
    CheckpointFile,
    Device,
    FactorsFile,
    Json,
    MelsFile,
    PredictionsFile,
    Seed,
    found,
)

COLUMNS = {
    "auc": "AUC",
    "map": "mAP@500",
    "ndcg": "nDCG@10",
    "recall": "recall@20",
    "tail": "tail@10",
    "coverage": "coverage@10",
}
HALVES = (" (surer half)", " (less sure half)")  # of the candidates, by confidence
FEWEST_TRACKS = 10  # that baselines are fitted to


class Protocol(StrEnum):
    """What the user factors have seen of the test tracks."""

    paper = "paper"
    strict = "strict"


ProtocolOption = Annotated[
    Protocol | None,
    typer.Option(
        help="paper: the user factors saw the plays of the test tracks; strict: nothing did.",
        show_default="what the factors file allows; strict with --folds",
    ),
]
NFolds = Annotated[
    int | None,
    typer.Option("--folds", min=2, help="Cross-validate over artists: all is made anew a fold."),
]
Recipes = Annotated[
    list[str] | None,
    typer.Option(
        "--train",
        metavar="OPTIONS",
        help='With --folds: options to train with, in quotes: --train "--epochs 20 --bypass"; '
        "repeat it to compare.",
        show_default="those of audiorec train",
    ),
]
Keep = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="With --folds: keep their files; a stopped run goes on."),
]
MinListeners = Annotated[
    int, typer.Option(min=1, help="Leave out test tracks that fewer listeners played.")
]
Baselines = Annotated[
    bool, typer.Option("--baselines/--no-baselines", help="Fit what the network has to beat.")
]
FoldsDevice = Annotated[Device, typer.Option(help="With --folds: where the networks run.")]
Resamples = Annotated[
    int, typer.Option(min=100, max=10**6, help="Bootstrap samples for the intervals.")
]


def evaluate(
    mels: MelsFile = None, factors: FactorsFile = None, checkpoint: CheckpointFile = None,
    predictions: PredictionsFile = None, protocol: ProtocolOption = None,
    min_listeners: MinListeners = 1, folds: NFolds = None, recipes: Recipes = None,
    keep: Keep = None, baselines: Baselines = True, resamples: Resamples = 1000, seed: Seed = 0,
    device: FoldsDevice = Device.auto, as_json: Json = False,
):  # fmt: skip
    """Tell how well test tracks are ranked for each listener, beside baselines and ceilings.

    Figures are means over the listeners who played a test track, with 95 % bootstrap
    intervals, and differences are paired by listener. Only test tracks are ranked. tail@10:
    share of the least-played half in the top 10; coverage@10: share of the test tracks that
    are in some top 10.
    """
    from audiorec_cli import files

    with_folds = recipes or keep or device is not Device.auto
    _require_that_go_together(folds, with_folds, without_folds=checkpoint or predictions)
    named = {text.strip() or rounds.NETWORK: rounds.recipe_of(text) for text in recipes or [""]}
    mels_path, factors_path = found("mels", mels), found("factors", factors)
    loaded = files.load_factors(factors_path)
    contest = Contest(len(loaded.log.user_id), seed=seed, resamples=resamples)
    with rounds.kept_or_temporary(keep) as folder:
        if folds is None:
            one = _given_round(mels_path, (factors_path, loaded), checkpoint, predictions)
            protocol, made = _checked_protocol(protocol, one, factors_path), [one]
        else:
            protocol = protocol or Protocol.strict
            if keep is None:
                console.note("a stop would lose the folds: to go on after one, add --keep DIR")
            options = {"seed": seed, "device": device, "folder": folder}
            every = rounds.Folds(mels_path, loaded, named, protocol.value, **options)
            made = every.rounds(folds, min_listeners=min_listeners)
        ranked = [
            _enter_round(contest, one, mels_path, min_listeners, baselines, seed) for one in made
        ]
    _print(contest, list(named), ranked, protocol, as_json)


def _require_that_go_together(folds, with_folds, *, without_folds):
    """Refuse options that are of folds, or of the network in this folder, beside the other."""
    if folds is None and with_folds:
        raise AudiorecError(
            "--train, --keep and --device go with --folds: add it, or leave them out"
        )
    if folds is not None and without_folds:
        raise AudiorecError("--folds trains networks of its own: leave out the ones named")


def _given_round(mels_path, factors, checkpoint, predictions):
    """The round of the checkpoint in this folder, or named, and of what it predicts.

    factors : their path, and Factors
    """
    from audiorec_cli import files

    library, checkpoint = files.load_mels(mels_path), found("checkpoint", checkpoint)
    trained = files.load_checkpoint(checkpoint)
    path = predictions or found_or_made(mels_path, checkpoint)
    predicted = files.load_predictions(path)
    if predicted.fingerprint != trained.fingerprint:
        raise AudiorecError(
            f"{path} was not made from {checkpoint} as it is now: make it again with "
            f"'audiorec predict --checkpoint {checkpoint} --out {path}'"
        )
    factors_path, factors = factors
    if in_own_space(predicted):
        console.note(
            f"{path} lies in a space of its own: listeners are placed there by their plays of the "
            "tracks to train and to validate on, never of test tracks"
        )
    else:
        require_same_factors(path, predicted, factors, factors_path)
    return rounds.round_of_network(library, factors, trained, predicted)


def _checked_protocol(protocol, one, factors_path):
    """The protocol that the factors allow. AudiorecError where another was asked for."""
    _, items = one.rows_of("test")
    unseen = one.factors.is_held_out[items]
    if protocol is Protocol.strict and not unseen.all():
        raise AudiorecError(
            f"{factors_path}: user factors saw the test tracks: for --protocol strict hold them "
            "out with 'audiorec factorize LOG OUT --holdout 0.1', and train and predict with OUT"
        )
    if protocol is Protocol.paper and unseen.any():
        raise AudiorecError(
            f"{factors_path}: the test tracks were held out, which is --protocol strict: for "
            "paper make factors without --holdout, and train and predict with them"
        )
    return protocol or (Protocol.strict if unseen.all() else Protocol.paper)


def _enter_round(contest, one, mels_path, min_listeners, baselines, seed):
    """Enter the networks, what they must beat and what they cannot pass: returns Candidates."""
    tracks, items = one.rows_of("test")
    candidates = rounds.candidates_to_rank(one.factors.log, tracks, items, min_listeners)
    what = one.factors.params.get("items", "tracks")
    console.note(f"{len(candidates.items)} {what} ranked for {len(candidates.users)} listeners")
    _enter_networks(contest, candidates, one)
    _enter_listening(contest, candidates, one, seed)
    if baselines:
        _enter_baselines(contest, candidates, one, mels_path, seed)
    return candidates


def _enter_networks(contest, candidates, one):
    from audiorec_cli.retrieval.neighbors import confidence

    for name, predicted in one.predictions.items():
        row_of = predicted.tracks.row_of_track_id
        ids = [one.library.tracks.track_id[row] for row in candidates.tracks]
        if not row_of.keys() >= set(ids):
            raise AudiorecError(
                "the predictions lack tracks of the mels file: make them again with "
                "'audiorec predict'"
            )
        rows = [row_of[track_id] for track_id in ids]
        users = one.user_factors_for(predicted)
        _enter(contest, name, candidates, users, predicted.predicted_factors[rows])
        if predicted.deviation is None:
            continue
        sureness = candidates.item_means(confidence(predicted.deviation[rows]))
        order, half = np.argsort(-sureness, kind="stable"), len(sureness) // 2
        for part, places in zip(HALVES, (order[:half], order[half:]), strict=True):
            chosen = candidates.take(np.sort(places))
            kept = np.isin(candidates.tracks, chosen.tracks)
            factors = predicted.predicted_factors[np.array(rows)[kept]]
            _enter(contest, f"{name}{part}", chosen, users, factors)


def _enter(contest, name, candidates, user_factors, track_factors):
    """user_factors : of all users; track_factors : of the candidates' tracks."""
    from audiorec_cli.evaluation.contest import scores_of_factors

    item_factors = candidates.item_factors(track_factors)
    contest.enter(name, candidates, scores_of_factors(user_factors[candidates.users], item_factors))


def _enter_listening(contest, candidates, one, seed):
    """What knows nothing, and what knows the plays of the test tracks."""
    from audiorec_cli.evaluation.contest import (
        scores_at_random,
        scores_of_factors,
        scores_of_popularity,
    )

    contest.enter("random", candidates, scores_at_random(len(candidates.items), seed))
    contest.enter("popularity (oracle)", candidates, scores_of_popularity(candidates.listeners))
    unit, norm = rounds.factors_by_id(one.ceiling, one.factors.log.tracks, candidates.items)
    users = one.ceiling.user_factors[candidates.users]
    contest.enter("factors, unit norm (ceiling)", candidates, scores_of_factors(users, unit))
    if "parts" not in one.ceiling.params:  # what was concatenated has no norm of its own
        raw = scores_of_factors(users, unit * norm[:, None])
        contest.enter("factors, raw (ceiling)", candidates, raw)


def _enter_baselines(contest, candidates, one, mels_path, seed):
    from audiorec_cli import files
    from audiorec_cli.audio.settings import SpectrogramSettings
    from audiorec_cli.evaluation.baselines import Learnt, predict_by_baselines
    from audiorec_cli.evaluation.features import Sound

    known = {}
    for part in ("train", "validation"):
        tracks, items = one.rows_of(part)
        known[part] = Learnt(tracks, one.factors.track_factors[items])
    if len(known["train"].tracks) < FEWEST_TRACKS:
        raise AudiorecError(
            f"{len(known['train'].tracks)} training tracks are too few to fit baselines to: "
            "leave them out with --no-baselines"
        )
    compression = one.library.params.get("compression", SpectrogramSettings.compression)
    with (
        files.MelsReader(mels_path) as reader,
        console.progress("baselines", total=4, unit="models") as advance,
    ):
        sound = Sound(reader, one.library.excerpt_track, compression=compression)
        for name, predicted in predict_by_baselines(
            sound, known["train"], known["validation"], candidates.tracks, seed=seed
        ):
            _enter(contest, name, candidates, one.factors.user_factors, predicted)
            advance()


def _print(contest, networks, ranked, protocol, as_json):
    """Two tables: every model's figures; what networks differ by from the first and the rest."""
    scores = contest.scores()
    others = [
        model for model in contest.models if model not in networks and not model.endswith(HALVES)
    ]
    differences = {
        name: contest.differences(name, [*(networks[:1] if index else []), *others])
        for index, name in enumerate(networks)
    }
    if as_json:
        console.print_json(_as_json(scores, differences, ranked, protocol))
        return
    console.print_table(
        (f"model ({protocol.value})", *(COLUMNS[figure] for figure in (*FIGURES, "coverage"))),
        [
            (model, *(_interval(score.figures[figure]) for figure in FIGURES), score.coverage)
            for model, score in scores.items()
        ],
    )
    console.print_gap()
    console.print_table(
        ("difference", *(COLUMNS[figure] for figure in COMPARED)),
        [
            (f"{network} − {other}", *(_interval(figures[figure], "+") for figure in COMPARED))
            for network, by_other in differences.items()
            for other, figures in by_other.items()
        ],
    )


def _interval(mean, sign=""):
    if np.isnan(mean.mean):
        return ""
    return f"{mean.mean:{sign}.3f} [{mean.low:{sign}.3f}, {mean.high:{sign}.3f}]"


def _as_json(scores, differences, ranked, protocol):
    def plain(means):
        return {figure: mean._asdict() for figure, mean in means.items()}

    return {
        "protocol": protocol.value,
        "items": sum(len(candidates.items) for candidates in ranked),
        "listeners": len(set().union(*(candidates.users.tolist() for candidates in ranked))),
        "models": [
            {"model": model, **plain(score.figures), "coverage": score.coverage}
            for model, score in scores.items()
        ],
        "differences": [
            {"model": network, "minus": other, **plain(figures)}
            for network, by_other in differences.items()
            for other, figures in by_other.items()
        ],
    }
