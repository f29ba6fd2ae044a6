"""What `train --objective rank` does: it tunes a trained network by thumbs up and down."""

import contextlib
import functools
import inspect
import math
import os
from dataclasses import asdict, replace

import numpy as np

from audiorec_cli import console
from audiorec_cli.commands.thumbs import load_thumbs
from audiorec_cli.convnet.settings import TuningSettings
from audiorec_cli.errors import AudiorecError
from audiorec_cli.names import normalised
from audiorec_cli.options import found

RANK = "rank"
OWN = ("thumbs", "checkpoint", "nearness")  # the options of this objective alone
# Those that say something of a tuning, and not of how the network was trained.
OF_TUNING = (
    *("mels", "factors", "out", "seed", "device", "objective", *OWN),
    *("epochs", "batch_size", "lr"),
)


def is_by_thumbs(arguments):
    """Whether the arguments of `train` ask for thumbs to be learned from, rightly or not."""
    asked = any(arguments[name] is not None for name in OWN)
    return asked or arguments["objective"] == RANK


def train_by_thumbs(arguments):
    """Tune a network by thumbs; where none is named to start from, one is trained first.

    arguments : of `train`. Raises AudiorecError where they do not go together, or where thumbs of
    the library's tracks make no pair to learn from.
    """
    from audiorec_cli import files
    from audiorec_cli.convnet.training import pick_device

    _check(arguments)
    settings = _settings(arguments)
    files.require_writable(arguments["out"], "checkpoint")
    device, mels = pick_device(arguments["device"].value), found("mels", arguments["mels"])
    library = files.load_mels(mels)
    thumbs = load_thumbs(arguments["thumbs"], library)
    arguments = {**arguments, "mels": mels}
    start = _start(arguments, library)
    tuned = _tune(arguments, library, thumbs, start, settings, device)
    files.save_checkpoint(arguments["out"], tuned)


def _check(arguments):
    """Refuse arguments of `train` that do not go together."""
    out, checkpoint = arguments["out"], arguments["checkpoint"]
    if arguments["objective"] != RANK:
        name = next(name for name in OWN if arguments[name] is not None)
        raise AudiorecError(f"--{name} goes with --objective rank: add it, or leave it out")
    if arguments["thumbs"] is None:
        raise AudiorecError("--objective rank learns from thumbs: name a CSV of them with --thumbs")
    if checkpoint is not None:
        _check_start(arguments)
    elif arguments["resume"] and not out.exists():
        raise AudiorecError(f"{out}: no such file to resume from: train without --resume")
    elif out.exists() and not arguments["resume"]:
        raise AudiorecError(
            f"{out} is there already: to start from it add --checkpoint {out} and name another "
            "--out; to train one first, name another --out alone"
        )


def _check_start(arguments):
    from audiorec_cli.commands.train import train

    out, checkpoint = arguments["out"], arguments["checkpoint"]
    if arguments["resume"]:
        raise AudiorecError("a tuning from --checkpoint is not gone on with: leave out --resume")
    if out.resolve() == checkpoint.resolve():
        raise AudiorecError(f"{out} is the network to start from: name another with --out")
    defaults = inspect.signature(train).parameters
    for name, value in arguments.items():
        if name not in OF_TUNING and value != defaults[name].default:
            flag = name.replace("_", "-")
            raise AudiorecError(
                f"--{flag} says how a network is trained, and that in {checkpoint} is: leave it "
                "out, or leave out --checkpoint"
            )


def _settings(arguments):
    """The TuningSettings: epochs and the like are those of the training where there is one."""
    given = {"seed": arguments["seed"], "nearness": arguments["nearness"]}
    if arguments["checkpoint"] is not None:
        given |= {name: arguments[name] for name in ("epochs", "batch_size")}
        given["learning_rate"] = arguments["lr"]
    settings = TuningSettings(**{name: v for name, v in given.items() if v is not None})
    if settings.batch_size < 2:
        raise AudiorecError("a pair is two tracks: ask for 2 at least with --batch-size")
    return settings


def _start(arguments, library):
    """The Checkpoint to tune: the one that is named, or one that is trained now."""
    from audiorec_cli import files
    from audiorec_cli.commands.predict import require_same_spectrograms

    path = arguments["checkpoint"]
    if path is None:
        return _trained_first(arguments)
    start = files.load_checkpoint(path)
    require_same_spectrograms(start, library, arguments["mels"])
    if arguments["factors"] is not None:
        _require_same_test(path, start, library, arguments["factors"])
    return start


def _trained_first(arguments):
    from audiorec_cli import files
    from audiorec_cli.commands.train import Finished, train

    out = arguments["out"]
    if arguments["resume"] and "tuning" in files.load_checkpoint(out).settings:
        raise Finished(f"{out} is tuned already: train anew, without --resume")
    console.note("no --checkpoint to start from: a network is trained first")
    with contextlib.suppress(Finished):
        train(**{**arguments, "objective": None, **dict.fromkeys(OWN)})
    return files.load_checkpoint(out)


def _require_same_test(path, start, library, factors_path):
    """Refuse a Checkpoint that other factors, or tracks that these test, were learned from."""
    from audiorec_cli import files, matching

    factors = files.load_factors(factors_path)
    remedy = "name the --factors that it was trained on, or leave out --checkpoint to train anew"
    if start.settings.get("factors") != factors.fingerprint:
        raise AudiorecError(f"{path} was trained on other factors than {factors_path}: {remedy}")
    by_artist = start.settings.get("match") == "artist"
    matches = matching.match(library.tracks, factors.log.tracks, by_artist=by_artist)
    tested = matches.library_rows[factors.is_test[matches.log_rows]]
    untested = {library.tracks.track_id[row] for row in tested} - {*start.split["test"]}
    if untested:
        raise AudiorecError(
            f"{path} was trained with {len(untested)} tracks that {factors_path} says are tested: "
            f"{remedy}"
        )


def _tune(arguments, library, thumbs, start, settings, device):
    """The tuned Checkpoint."""
    from audiorec_cli import files
    from audiorec_cli.convnet import tuning
    from audiorec_cli.convnet.inference import network_of

    division = _divided(arguments["thumbs"], library, thumbs, start, settings)
    total = tuning.n_seen(division, library.excerpt_track, settings)
    try:
        with console.progress("tune", total=total, unit="excerpts") as advance:
            tuned = tuning.tune(
                network_of(start, device),
                functools.partial(files.MelsReader, arguments["mels"]),
                library.excerpt_track,
                division,
                settings,
                on_batch=lambda n, loss: advance(n, _shown(loss)),
            )
    except KeyboardInterrupt:
        console.note(_stopped(arguments))
        raise
    console.note(_result(arguments["out"], tuned, division))
    return _checkpoint_of(tuned, start, division, library, arguments["thumbs"], settings)


def _divided(path, library, thumbs, start, settings):
    """The Division of Thumbs for a Checkpoint to start from; notes how they are divided."""
    from audiorec_cli.convnet.splitting import groups_of
    from audiorec_cli.convnet.thumbs import divide

    tracks = library.tracks
    row_of = tracks.row_of_track_id
    split = {
        part: np.array([row_of[name] for name in ids if name in row_of], dtype=np.int64)
        for part, ids in start.split.items()
    }
    groups = groups_of([normalised(artist) for artist in tracks.artist], tracks.track_id)
    division = divide(thumbs, groups, split, share=settings.held_out, seed=settings.seed)
    n_taught = len(division.taught)
    if not n_taught:
        raise AudiorecError(
            f"{path}: what is left without tracks by the artists of test tracks makes no pair to "
            "learn from: add thumbs"
        )
    n_left_out = len(thumbs) - n_taught - len(division.held_out) - len(division.test)
    console.note(
        f"{console.counted(n_taught, 'thumb')} to learn from, {len(division.held_out)} held out to "
        f"tell what it did, {len(division.test)} of test tracks"
        + f"; {n_left_out} left out: their seed makes no pair, or their artist is held out or "
        "tested" * bool(n_left_out)
    )
    if np.isin(division.held_out.track, split["train"]).any():
        console.note("the network was trained on the tracks held out: it orders new ones less well")
    return division


def _shown(loss):
    return "" if loss is None else f"{loss:.3f} of the pairs out of order"


def _stopped(arguments):
    if arguments["checkpoint"] is not None:
        return "stopped: nothing is kept of the tuning"
    return (
        f"{arguments['out']}: stopped before the end of the tuning, so it holds the network as it "
        "was before: go on with the same command and --resume"
    )


def _result(out, tuned, division):
    """One line on what tuning changed, by thumbs that nothing was learned from."""
    shares = [
        f"of {console.counted(thumbs.n_pairs, 'pair')} {which} {after:.3f} are in order, in the "
        f"mean over seeds ({before:.3f} before)"
        for which, thumbs, before, after in (
            ("held out", division.held_out, tuned.before.held_out, tuned.after.held_out),
            ("of test tracks", division.test, tuned.before.test, tuned.after.test),
        )
        if not math.isnan(after)
    ]
    if not shares:
        shares = [
            "whether it is better is not told: that takes thumbs to hold out, up and down at a "
            "seed by artists that nothing was learned from"
        ]
    text = f"{out}: {'; '.join(shares)}; predictions moved by {tuned.moved:.3f} (1 - cos)"
    if tuned.after.held_out <= tuned.before.held_out < 1:
        text += ": no better, so the thumbs are too few, or say what sound does not tell"
    return text


def _checkpoint_of(tuned, start, division, library, path, settings):
    """The Checkpoint: all of the one to start from but the weights, and how it was tuned."""
    ids = library.tracks.track_id
    known = {name for part in start.split.values() for name in part}
    learned = [ids[row] for row in division.taught.tracks if ids[row] not in known]
    shares = {
        part: None if math.isnan(after) else [before, after]
        for part, before, after in zip(division._fields, tuned.before, tuned.after, strict=True)
    }
    told = {
        **asdict(settings),
        "thumbs": os.path.abspath(path),
        "started_from": start.fingerprint,
        "in_order": shares,
        "moved": tuned.moved,
    }
    training = {**start.settings["training"], "objective": RANK}
    return replace(
        start,
        settings={**start.settings, "training": training, "tuning": told},
        weights=tuned.weights,
        latest_weights=tuned.weights,
        optimizer={},
        split={**start.split, "train": [*start.split["train"], *learned]},
    )
