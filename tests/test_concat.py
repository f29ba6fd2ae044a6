"""Factors of several models side by side: one file that does what one model's does."""

from dataclasses import replace

import numpy as np
import pytest

from audiorec_cli import files
from audiorec_cli.errors import AudiorecError
from audiorec_cli.listening.concatenation import concatenate
from audiorec_cli.listening.factorization import fit_again, fit_factors
from audiorec_cli.listening.settings import AlsSettings, BprSettings

HELD_OUT = np.arange(30) % 3 == 0


@pytest.fixture
def parts(log_of, checkerboard):
    """Factors of one log by two models, of 4 and of 3 factors."""
    models = (AlsSettings(n_factors=4), BprSettings(n_factors=3))
    return [fit_factors(log_of(checkerboard), model, held_out=HELD_OUT) for model in models]


def test_each_model_weighs_the_same_in_likeness(parts):
    joined = concatenate(parts)
    of_each = [part.track_factors @ part.track_factors.T for part in parts]
    likeness = joined.track_factors @ joined.track_factors.T
    np.testing.assert_allclose(likeness, np.mean(of_each, axis=0), atol=1e-5)
    np.testing.assert_array_equal(joined.norm, 1 - HELD_OUT)
    np.testing.assert_array_equal(joined.is_test, HELD_OUT)


def test_no_models_scale_outweighs_anothers(parts):
    first, second = parts
    larger = replace(second, user_factors=100 * second.user_factors)
    joined = concatenate(parts)
    np.testing.assert_allclose(
        joined.user_factors, concatenate([first, larger]).user_factors, rtol=1e-5
    )
    for columns in (slice(0, 4), slice(4, 7)):
        norms = np.linalg.norm(joined.user_factors[:, columns], axis=1)
        assert np.sqrt((norms**2).mean()) == pytest.approx(1, rel=1e-5)


def test_tracks_that_all_have_stand_in_the_order_of_the_first(parts):
    first, second = (_with_tracks(part, rows) for part, rows in zip(
        parts, (np.arange(2, 30), np.arange(25)[::-1]), strict=True))  # fmt: skip
    joined = concatenate([first, second])
    assert joined.log.tracks.track_id == [f"t{i:03}" for i in range(2, 25)]
    expected = concatenate(parts)
    np.testing.assert_array_equal(joined.track_factors, expected.track_factors[2:25])
    np.testing.assert_array_equal(joined.log.plays.toarray(), expected.log.plays[:, 2:25].toarray())


def _with_tracks(factors, rows):
    return replace(
        factors,
        log=factors.log.take(rows),
        track_factors=factors.track_factors[rows],
        norm=factors.norm[rows],
        is_test=factors.is_test[rows],
    )


def test_fitting_again_fits_every_part(parts):
    again = fit_again(concatenate(parts), ~HELD_OUT)
    expected = concatenate([fit_again(part, ~HELD_OUT) for part in parts])
    np.testing.assert_array_equal(again.track_factors, expected.track_factors)
    np.testing.assert_array_equal(again.user_factors, expected.user_factors)
    np.testing.assert_array_equal(again.is_held_out, ~HELD_OUT)
    assert [part["model"] for part in again.params["parts"]] == ["als", "bpr"]


@pytest.mark.parametrize("what", ["listeners", "plays", "tracks held out", "test tracks", "tracks"])
def test_factors_of_other_logs_are_refused(parts, log_of, checkerboard, what):
    first = parts[0]
    log = first.log
    everyone_new = [f"{name}!" for name in log.user_id]
    other = {
        "listeners": lambda: replace(first, log=replace(log, user_id=everyone_new)),
        "plays": lambda: replace(first, log=replace(log, plays=2 * log.plays)),
        "tracks held out": lambda: fit_factors(log, AlsSettings(n_factors=4)),
        "test tracks": lambda: replace(first, is_test=np.ones(30, bool)),
        "tracks": lambda: replace(first, log=replace(log, tracks=replace(
            log.tracks, track_id=[f"{name}!" for name in log.tracks.track_id]))),
    }[what]()  # fmt: skip
    message = "no track in common" if what == "tracks" else f"a.h5 and b.h5 have other {what}"
    with pytest.raises(AudiorecError, match=message):
        concatenate([first, other], ["a.h5", "b.h5"])


def test_what_comes_out_trains_predicts_and_is_searched(
    here, audiorec, mels_file, factors_file, quick_training
):
    mels_file("mels.h5")
    factors_file("a.h5")
    factors_file("b.h5")
    assert audiorec("concat", "a.h5", "b.h5", "--out", "both.h5")[0] == 0
    assert files.load_factors("both.h5").track_factors.shape == (6, 6)
    once = ("--epochs", 1, "--batch-size", 4, "--lr", 0.001, "--device", "cpu")
    assert audiorec("train", "--factors", "both.h5", *once)[0] == 0
    assert audiorec("predict", "--device", "cpu")[0] == 0
    status, out, err = audiorec("similar", "title 1")
    assert status == 0, err
    assert len(out.splitlines()) == 7


def test_it_says_what_it_made(here, audiorec, factors_file):
    factors_file("a.h5")
    factors_file("b.h5")
    status, out, err = audiorec("concat", "a.h5", "b.h5")
    assert (status, out) == (0, "")
    assert "factors.h5: 6 factors of 6 tracks, from 2 files" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(("a.h5",), "a.h5 is one factors file: name two or more"),
     (("a.h5", "b.h5", "--out", "b.h5"), "b.h5 is one of those to concatenate: name another with"),
     (("a.h5", "b.h5", "--out", "./a.h5"), "a.h5 is one of those to concatenate"),
     (("a.h5", "./a.h5", "--out", "c.h5"), "a factors file is named twice: name each once")],
)  # fmt: skip
def test_what_cannot_be_concatenated_is_left_alone(
    here, audiorec, factors_file, arguments, message
):
    before = [factors_file(here / name).read_bytes() for name in ("a.h5", "b.h5")]
    status, out, err = audiorec("concat", *arguments)
    assert (status, out) == (1, "")
    assert message in err
    assert before == [(here / name).read_bytes() for name in ("a.h5", "b.h5")]
