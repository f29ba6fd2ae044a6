"""audiorec recommend --blend: listening and sound together, each as far as it is trusted."""

import re
from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from audiorec_cli import files
from audiorec_cli.commands.blending import chosen_trust
from audiorec_cli.errors import AudiorecError
from audiorec_cli.records import Predictions, Tracks
from two_tastes import N_LOGGED, listed


def test_blending_moves_from_listening_to_sound(two_tastes, audiorec):
    by_listening = listed(audiorec, "u4", "-k", 40, "--keep-heard", "--blend-at", 0)
    assert by_listening == listed(audiorec, "u4", "-k", 40, "--keep-heard")
    by_sound = listed(audiorec, "u4", "-k", 40, "--keep-heard", "--blend-at", 1e9)
    predicted = files.load_predictions("predictions.h5")
    factors = files.load_factors("factors.h5")
    listener = factors.user_factors[factors.log.user_id.index("u4")]
    scores = predicted.predicted_factors @ listener / np.linalg.norm(listener)
    found = {row["track_id"]: row["score"] for row in by_sound}
    for row, track_id in enumerate(predicted.tracks.track_id):
        assert found[track_id] == pytest.approx(scores[row], abs=1e-4)


@pytest.fixture
def rich_log(log_of):
    """Factors of 400 listeners of two tastes, who play any track of their own with p = 0.3."""
    from audiorec_cli.listening.factorization import AlsSettings, fit_factors

    rng = np.random.default_rng(3)
    u, t = np.ogrid[:400, :40]
    log = log_of((rng.random((400, 40)) < np.where(u % 2 == t % 2, 0.3, 0.03)).astype(float))
    return fit_factors(log, AlsSettings(n_factors=2))


@pytest.mark.parametrize("is_right", [True, False])
def test_sound_is_trusted_as_far_as_it_foretells(tracks, rich_log, is_right):
    """Sound that tells the taste of a track is worth more than some listeners; noise is not."""
    n = 40
    table = tracks(n)
    names = [f"t{t:03}" for t in range(n)]
    table = type(table)(names, *(getattr(table, c) for c in type(table).columns()[1:]))
    tastes = np.array([rich_log.track_factors[p::2].mean(axis=0) for p in (0, 1)])
    tastes /= np.linalg.norm(tastes, axis=1, keepdims=True)
    right = tastes[np.arange(n) % 2]
    predicted = right if is_right else -right
    made = Predictions(table, predicted.astype(np.float32), "print", "/music")
    n_listeners = chosen_trust(made, rich_log, names[:8])
    assert n_listeners >= 10 if is_right else n_listeners < 1


def test_too_few_validation_tracks_do_not_choose(tracks, rich_log, audiorec):
    table = tracks(40)
    names = [f"t{t:03}" for t in range(40)]
    table = type(table)(names, *(getattr(table, c) for c in type(table).columns()[1:]))
    made = Predictions(table, rich_log.track_factors, "print", "/music")
    with pytest.raises(AudiorecError, match=r"2 validation tracks .* --blend-at 3"):
        chosen_trust(made, rich_log, names[:2])


@pytest.fixture
def blendable(here, audiorec, rich_log, tracks, checkpoint_file):
    """factors.h5 of the rich log, predictions.h5 of its tracks by sound, and model.h5."""
    files.save_factors("factors.h5", rich_log)
    checkpoint_file("model.h5")
    trained = files.load_checkpoint("model.h5")
    table = tracks(40)
    names = [f"t{t:03}" for t in range(40)]
    table = Tracks(names, *(getattr(table, c) for c in Tracks.columns()[1:]))
    split = {"train": names[10:], "validation": names[:8], "test": names[8:10]}
    trained = replace(trained, split=split)
    files.save_checkpoint("model.h5", trained)
    params = {"factors": rich_log.fingerprint}
    made = Predictions(table, rich_log.track_factors, trained.fingerprint, "/music", params=params)
    files.save_predictions("predictions.h5", made)
    return here


def test_blend_chooses_by_the_validation_tracks_of_the_checkpoint(blendable, audiorec):
    status, out, err = audiorec("recommend", "u004", "--blend", "--json")
    assert status == 0, err
    assert err.count("checkpoint: using model.h5\n") == 1
    (chosen,) = re.findall(r"blend: C is (\S+):", err)
    assert f"listening weighs n / (n + {chosen}), and sound the rest" in err
    assert out == audiorec("recommend", "u004", "--blend-at", chosen, "--json")[1]


def test_what_nobody_has_played_is_not_blended(two_tastes, audiorec):
    """So there is no C to choose, and no checkpoint needed that it is chosen by."""
    plain = listed(audiorec, "u4", "--new-only")
    assert listed(audiorec, "u4", "--new-only", "--blend") == plain
    told = "what nobody has played is placed by sound alone: --blend changes nothing"
    assert told in audiorec("recommend", "u4", "--new-only", "--blend")[2]
    assert told not in audiorec("recommend", "u4", "--new-only")[2]


def test_blend_takes_the_checkpoint_that_predicted(blendable, audiorec):
    predicted = files.load_predictions("predictions.h5")
    files.save_predictions("predictions.h5", replace(predicted, fingerprint="another"))
    status, out, err = audiorec("recommend", "u004", "--blend")
    assert (status, out) == (1, "")
    assert "predictions.h5 was not made from model.h5: name the one" in err


def test_an_undecided_choice_is_no_choice(blendable, audiorec):
    """Validation tracks that the same listeners all played tell nothing of their order."""
    factors = files.load_factors("factors.h5")
    plays = factors.log.plays.tolil()
    plays[:, :8] = 0
    plays[:50, :8] = 1
    log = replace(factors.log, plays=csr_matrix(plays))
    files.save_factors("factors.h5", replace(factors, log=log))
    status, out, err = audiorec("recommend", "u004", "--blend")
    assert (status, out) == (1, "")
    assert "8 validation tracks with listeners cannot tell how to --blend" in err
    assert "C is chosen by" not in err
    assert "Warning" not in err


def test_what_sound_places_counts_as_much_less_as_it_was_amiss(
    two_tastes, audiorec, checkpoint_file
):
    """Tracks that the network has not met lie 60° from where it puts them: a half is left."""
    checkpoint_file("model.h5")
    trained = files.load_checkpoint("model.h5")
    unmet = [f"folder/{t}" for t in range(4)]
    split = {"train": ["folder/9"], "validation": unmet[:2], "test": unmet[2:]}
    split["train"] += [f"folder/{t}" for t in range(4, N_LOGGED) if t != 9]
    files.save_checkpoint("model.h5", replace(trained, split=split))
    trained = files.load_checkpoint("model.h5")
    predicted, factors = files.load_predictions("predictions.h5"), files.load_factors("factors.h5")
    vectors, row_of = predicted.predicted_factors.copy(), factors.log.tracks.row_of_track_id
    angle = np.deg2rad(60)
    turn = np.float32([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    for row in range(4):
        vectors[row] = turn @ factors.track_factors[row_of[f"folder/{row}"]]
    before = {row["track_id"]: row["score"] for row in listed(audiorec, "u4", "-k", 99)}
    params = {**predicted.params, "checkpoint": "model.h5"}
    changed = {"predicted_factors": vectors, "fingerprint": trained.fingerprint, "params": params}
    files.save_predictions("predictions.h5", replace(predicted, **changed))
    for row in listed(audiorec, "u4", "-k", 99):
        share = 1 if row["listeners"] else 0.5
        assert row["score"] == pytest.approx(share * before[row["track_id"]], abs=1e-4)


def test_without_the_checkpoint_it_says_that_sound_may_come_first_too_often(
    blendable, audiorec, tracks
):
    predicted = files.load_predictions("predictions.h5")
    more = replace(tracks(41), track_id=[*predicted.tracks.track_id, "new"])
    vectors = predicted.predicted_factors[[*range(40), 0]]
    files.save_predictions(
        "predictions.h5", replace(predicted, tracks=more, predicted_factors=vectors)
    )
    (blendable / "model.h5").rename(blendable / "renamed.h5")
    status, _, err = audiorec("recommend", "u004")
    assert status == 0
    assert "checkpoint: using renamed.h5" in err
    assert "too often" not in err
    (blendable / "away").mkdir()
    (blendable / "renamed.h5").rename(blendable / "away" / "model.h5")
    assert "may come first too often" in audiorec("recommend", "u004")[2]
    named = audiorec("recommend", "u004", "--checkpoint", "away/model.h5")
    assert named[0] == 0
    assert "too often" not in named[2]
    status, _, err = audiorec("audience", "title 40")
    assert status == 0
    assert "too often" not in err
