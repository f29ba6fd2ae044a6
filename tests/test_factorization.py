"""What every factor model does: tastes come apart, seeds hold, tracks held out stay unseen."""

import numpy as np
import pytest

from audiorec_cli.errors import AudiorecError
from audiorec_cli.listening.factorization import fit_again, fit_factors, settings_of
from audiorec_cli.listening.log_settings import LogSettings
from audiorec_cli.listening.logs import read_log
from audiorec_cli.listening.settings import SETTINGS, AlsSettings, BprSettings


@pytest.fixture(params=SETTINGS)
def settings(request):
    """Makes the settings of each model, 4 factors unless said otherwise."""
    return lambda **values: SETTINGS[request.param](**{"n_factors": 4, **values})


@pytest.fixture
def held_out():
    """Every third of 30 tracks."""
    return np.arange(30) % 3 == 0


def test_a_checkerboard_splits_into_its_two_tastes(settings, log_of, checkerboard):
    factors = fit_factors(log_of(checkerboard), settings()).track_factors
    similar = factors @ factors.T
    same = np.equal.outer(np.arange(30) % 2, np.arange(30) % 2)
    assert similar[same].min() > 0.7
    assert similar[~same].max() < 0.1


def test_the_order_of_rows_does_not_matter(settings, checkerboard, tmp_path):
    rows = [f"u{u},t{i},{checkerboard[u, i]}\n" for u, i in np.argwhere(checkerboard)]
    shuffled = np.random.default_rng(0).permutation(rows)
    first, second = (
        fit_factors(_read(tmp_path, lines), settings(iterations=5)) for lines in (rows, shuffled)
    )
    assert first.log.tracks.track_id == second.log.tracks.track_id
    np.testing.assert_array_equal(first.track_factors, second.track_factors)
    np.testing.assert_array_equal(first.user_factors, second.user_factors)


def _read(folder, lines):
    path = folder / "log.csv"
    path.write_text("user_id,track_id,plays\n" + "".join(lines))
    return read_log(path, LogSettings()).plays


def test_the_same_seed_gives_the_same_factors(settings, log_of, checkerboard):
    first, second, other = (
        fit_factors(log_of(checkerboard), settings(seed=seed)) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first.track_factors, second.track_factors)
    np.testing.assert_array_equal(first.user_factors, second.user_factors)
    assert not np.array_equal(first.track_factors, other.track_factors)


def test_unit_norm_with_the_norm_kept(settings, log_of, checkerboard):
    factors = fit_factors(log_of(checkerboard), settings())
    assert factors.track_factors.shape == (30, 4)
    assert factors.user_factors.shape == (40, 4)
    np.testing.assert_allclose(np.linalg.norm(factors.track_factors, axis=1), 1, atol=1e-5)
    assert (factors.norm > 0).all()
    assert not factors.is_test.any()


def test_the_settings_are_kept_and_found_again(settings, log_of, checkerboard):
    chosen = settings(iterations=3, seed=5)
    params = fit_factors(log_of(checkerboard), chosen).params
    assert settings_of({**params, "items": "tracks", "holdout": 0.1}) == chosen


def test_each_step_is_told(settings, log_of, checkerboard):
    steps = []
    fit_factors(
        log_of(checkerboard), settings(iterations=7), on_step=lambda *given: steps.append(given)
    )
    assert len(steps) == 7


def test_tracks_held_out_keep_their_plays_and_get_no_factors(
    settings, log_of, checkerboard, held_out
):
    factors = fit_factors(log_of(checkerboard), settings(), held_out=held_out)
    np.testing.assert_array_equal(factors.is_held_out, held_out)
    np.testing.assert_array_equal(factors.is_test, held_out)
    np.testing.assert_array_equal(factors.log.plays.toarray(), checkerboard)


def test_plays_of_tracks_held_out_change_nothing(settings, log_of, checkerboard, held_out):
    other = checkerboard.copy()
    other[:, held_out] = np.random.default_rng(0).integers(0, 1000, other[:, held_out].shape)
    first, second = (
        fit_factors(log_of(plays), settings(), held_out=held_out) for plays in (checkerboard, other)
    )
    np.testing.assert_array_equal(first.user_factors, second.user_factors)
    np.testing.assert_array_equal(first.track_factors, second.track_factors)


def test_a_listener_of_nothing_but_tracks_held_out_has_no_factors(
    settings, log_of, checkerboard, held_out
):
    checkerboard[7] = held_out
    factors = fit_factors(log_of(checkerboard), settings(), held_out=held_out)
    assert not factors.user_factors[7].any()
    assert factors.user_factors[np.arange(40) != 7].any(axis=1).all()


def test_fitting_again_repeats_the_fit_and_holds_out_what_is_asked(
    settings, log_of, checkerboard, held_out
):
    first = fit_factors(log_of(checkerboard), settings(iterations=5), held_out=held_out)
    again, all_in = fit_again(first, held_out), fit_again(first)
    np.testing.assert_array_equal(first.track_factors, again.track_factors)
    assert again.params == first.params
    assert not all_in.is_held_out.any()
    assert not np.array_equal(all_in.user_factors, first.user_factors)


@pytest.mark.parametrize(
    ("shape", "message"),
    [((1, 50), r"one listener.*--group-by"), ((5, 1), "has one track, and likeness takes two"),
     ((3, 30), r"4 factors.* has 3 and 30: .*--factors 1")],
)  # fmt: skip
def test_a_log_too_small_is_refused_with_the_remedy(settings, log_of, shape, message):
    with pytest.raises(AudiorecError, match=message):
        fit_factors(log_of(np.ones(shape)), settings())


@pytest.mark.parametrize(
    ("n_left", "message"), [(2, r"has 40 and 2 left by --holdout"), (0, r"no track left by --hold")]
)
def test_only_tracks_that_are_not_held_out_count(settings, log_of, checkerboard, n_left, message):
    with pytest.raises(AudiorecError, match=message):
        fit_factors(log_of(checkerboard), settings(), held_out=np.arange(30) >= n_left)


def test_tracks_that_the_fit_leaves_without_direction_are_left_out(log_of, checkerboard):
    plays = np.zeros((41, 32))
    plays[:40, :30] = checkerboard
    plays[40, 30] = 1  # one listener alone with one track: a third taste for a fit of rank two
    plays[:, 31] = 1
    settings = AlsSettings(n_factors=2, iterations=100)
    fitted = fit_factors(log_of(plays), settings, held_out=np.arange(32) == 31)
    assert fitted.log.tracks.track_id == [f"t{i:03}" for i in (*range(30), 31)]
    assert fitted.log.plays.shape == (41, 31)
    assert fitted.is_held_out.tolist() == [False] * 30 + [True]


def test_factors_that_grow_beyond_all_numbers_are_one_line(log_of, checkerboard):
    with pytest.raises(AudiorecError, match=r"came to no numbers.*--learning-rate"):
        fit_factors(log_of(checkerboard), BprSettings(n_factors=4, learning_rate=1e9))


@pytest.mark.parametrize(
    ("params", "message"),
    [({}, "the model None, which is none of als, bpr, lmf, vector-exp"),
     ({"model": "svd"}, "the model 'svd'"), ({"model": "als", "alpha": "2"}, "with alpha '2'"),
     ({"model": "lmf", "counts": "some"}, "with counts 'some'")],
)  # fmt: skip
def test_settings_of_another_version_are_one_line(params, message):
    with pytest.raises(AudiorecError, match=message):
        settings_of(params)


def test_factors_of_an_older_version_have_its_defaults():
    assert settings_of({"model": "als", "alpha": 7.0}) == AlsSettings(alpha=7.0)
