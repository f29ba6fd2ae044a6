"""audiorec factorize from the command line: no flag without its effect, none where it has none."""

import numpy as np
import pytest

from audiorec_cli import files

BASE = ("--factors", 2, "--iterations", 5)


@pytest.fixture
def log(here):
    """A log of 12 tracks by 5 artists, one unknown, and 8 listeners."""
    rng = np.random.default_rng(0)
    artists = ["The Beatles", "Beatles", "ABBA", "abba", "Abba", "Yes", "Yes", "Can", "Can", "Can",
               "", ""]  # fmt: skip
    rows = [
        f"u{u},t{i},{artist},{1 + rng.integers(30)}"
        for u in range(8)
        for i, artist in enumerate(artists)
        if rng.random() < 0.3 + 0.4 * (u % 2 == i % 2)
    ]
    (here / "log.csv").write_text("\n".join(["user_id,track_id,artist,plays", *rows]))
    return "log.csv"


@pytest.fixture
def factorized(audiorec, log):
    """Runs factorize and returns the Factors; options given twice count as given last."""

    def run(*options):
        status, _, err = audiorec("factorize", log, "out.h5", *BASE, *options)
        assert status == 0, err
        return files.load_factors("out.h5")

    return run


@pytest.mark.parametrize(
    ("model", "flag", "value"),
    [("als", "--model", "bpr"), ("als", "--model", "lmf"), ("als", "--model", "vector-exp"),
     *[("als", *option) for option in (
         ("--confidence", "linear"), ("--alpha", 9.0), ("--epsilon", 0.1),
         ("--regularization", 3.0), ("--iterations", 6), ("--seed", 1), ("--factors", 3))],
     *[("bpr", *option) for option in (
         ("--learning-rate", 0.3), ("--regularization", 0.9), ("--iterations", 6), ("--seed", 1),
         ("--factors", 3))],
     *[("lmf", *option) for option in (
         ("--counts", "plays"), ("--learning-rate", 0.3), ("--regularization", 0.9),
         ("--iterations", 6), ("--seed", 1), ("--factors", 3))],
     *[("vector-exp", *option) for option in (
         ("--counts", "once"), ("--learning-rate", 0.3), ("--regularization", 0.9),
         ("--iterations", 6), ("--proposal", "popularity"), ("--seed", 1), ("--factors", 3))]],
)  # fmt: skip
def test_every_flag_changes_the_factors(factorized, model, flag, value):
    before = factorized("--model", model)
    after = factorized("--model", model, flag, value)
    setting = {"factors": "n_factors"}.get(flag[2:], flag[2:].replace("-", "_"))
    assert before.params.get(setting) != value
    assert after.params[setting] == value
    assert not np.array_equal(before.track_factors, after.track_factors)


def test_the_number_of_samples_changes_the_factors(factorized):
    sampled = ("--model", "vector-exp", "--proposal", "log-uniform", "--samples")
    before, after = factorized(*sampled, 1000), factorized(*sampled, 5)
    assert (before.params["n_samples"], after.params["n_samples"]) == (1000, 5)
    assert not np.array_equal(before.track_factors, after.track_factors)


@pytest.mark.parametrize(
    ("options", "message"),
    [(("--model", "bpr", "--alpha", 3), "--alpha goes with --model als: leave it out"),
     (("--learning-rate", 3), "--learning-rate goes with --model bpr, lmf or vector-exp: leave"),
     (("--counts", "log"), "--counts goes with --model lmf or vector-exp: leave it out"),
     (("--model", "lmf", "--samples", 3), "--samples goes with --model vector-exp: leave it out"),
     (("--model", "vector-exp", "--samples", 3), "goes with --proposal log-uniform or popularity"),
     (("--confidence", "linear", "--epsilon", 3), "--epsilon goes with --confidence log: leave")],
)  # fmt: skip
def test_an_option_without_effect_is_one_line(audiorec, log, here, options, message):
    status, out, err = audiorec("factorize", log, "out.h5", *options)
    assert (status, out) == (1, "")
    assert message in err
    assert not (here / "out.h5").exists()


def test_help_tells_each_models_default(audiorec, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    _, out, _ = audiorec("factorize", "--help")
    assert "als 1.0, bpr 0.001, lmf 5.0, vector-exp 0.1" in out


def test_titles_without_artists_are_told(here, audiorec):
    rows = "".join(f"u{u},title {t}\n" for u in range(4) for t in range(3))
    (here / "log.csv").write_text("user,title\n" + rows)
    status, _, err = audiorec("factorize", "log.csv", "--factors", 2)
    assert status == 0, err
    told = "the log names no artists, so tracks of the same title count as one"
    assert told in err
    with_ids = "".join(f"u{u},id {t},title {t}\n" for u in range(4) for t in range(3))
    (here / "log.csv").write_text("user,track_id,title\n" + with_ids)
    assert told not in audiorec("factorize", "log.csv", "--factors", 2)[2]


def test_holdout_sets_whole_artists_aside(factorized, audiorec, log):
    factors = factorized("--holdout", 0.4)
    held_out = factors.is_held_out
    assert 3 <= held_out.sum() <= 6
    assert factors.params["holdout"] == 0.4
    for artist in ("beatles", "abba", "yes", "can"):
        rows = [artist in name.lower() for name in factors.log.tracks.artist]
        assert len(set(held_out[rows])) == 1
    _, _, err = audiorec("factorize", log, "out.h5", *BASE, "--holdout", 0.4)
    assert f"{held_out.sum()} of 12 tracks are held out: the fit does not see their plays" in err


def test_holdout_is_random_by_the_seed(factorized):
    def held_out(seed):
        return factorized("--holdout", 0.3, "--seed", seed).is_held_out.tolist()

    assert held_out(0) == held_out(0)
    assert len({tuple(held_out(seed)) for seed in range(5)}) > 1


def test_without_holdout_nothing_is_held_out(factorized):
    factors = factorized()
    assert not factors.is_held_out.any()
    assert "holdout" not in factors.params


def test_all_plays_are_kept_as_truth(factorized):
    plays, kept = factorized().log.plays, factorized("--holdout", 0.4).log.plays
    assert (plays != kept).nnz == 0


@pytest.mark.parametrize("share", [1, -0.1])
def test_a_share_out_of_range_is_wrong_usage(audiorec, log, share):
    assert audiorec("factorize", log, "--holdout", share)[0] == 2


def test_a_holdout_of_nearly_all_is_one_line(audiorec, log):
    status, _, err = audiorec("factorize", log, "--holdout", 0.95)
    assert status == 1
    assert "left by --holdout" in err


def test_the_likelihood_is_shown(audiorec, log):
    _, _, err = audiorec("factorize", log, "out.h5", *BASE, "--model", "vector-exp")
    assert "log-likelihood -" in err


def test_columns_are_those_named(audiorec, here):
    rows = [
        f"u{u},s{u}{i % 2},t{i},{1 + u * i % 3}" for u in range(8) for i in range(6) if (u + i) % 5
    ]
    (here / "odd.csv").write_text("\n".join(["who,when,what,often", *rows]))
    columns = ("--user-column", "who", "--track-column", "what", "--plays-column", "often")
    assert audiorec("factorize", "odd.csv", "out.h5", *BASE)[0] == 1
    status, _, err = audiorec("factorize", "odd.csv", "out.h5", *BASE, *columns)
    assert status == 0, err
    log = files.load_factors("out.h5").log
    assert sorted(log.user_id) == [f"u{u}" for u in range(8)]
    assert sorted(log.tracks.track_id) == [f"t{i}" for i in range(6)]
    assert set(log.plays.data) == {1, 2, 3}
    assert audiorec("factorize", "odd.csv", "out.h5", *BASE, *columns, "--group-by", "when")[0] == 0
    assert len(files.load_factors("out.h5").log.user_id) == 16


def test_titles_and_artists_in_columns_of_any_name(audiorec, here):
    rows = [
        f"u{u},Song {i},Band {b},{1 + u * i % 3}"
        for u in range(8) for i in range(4) for b in range(2) if (u + i + b) % 5
    ]  # fmt: skip
    (here / "odd.csv").write_text("\n".join(["who,piece,by,often", *rows]))
    others = ("--user-column", "who", "--plays-column", "often", "--artist-column", "by")
    status, _, err = audiorec("factorize", "odd.csv", "a.h5", *BASE, *others, "--title-column",
                              "piece")  # fmt: skip
    assert status == 0, err
    tracks = files.load_factors("a.h5").log.tracks
    assert sorted(zip(tracks.artist, tracks.title, strict=True)) == [
        (f"Band {b}", f"Song {i}") for b in range(2) for i in range(4)
    ]
    assert "--title-column" not in err
    status, _, err = audiorec("factorize", "odd.csv", "b.h5", *BASE, *others, "--track-column",
                              "piece")  # fmt: skip
    assert status == 0, err
    assert len(files.load_factors("b.h5").log.tracks) == 4
    assert "'piece' alone: if it holds titles, name it with --title-column" in err


def test_the_log_is_cut_to_what_is_asked_for(here, audiorec):
    rows = [
        (f"u{u}", f"t{i}", 2010 + u) for u in range(8) for i in range(6) if i % 2 == u % 2 or i < 2
    ]
    lines = [f"{u},{t},{year}-06-01T12:00:00Z" for u, t, year in rows]
    (here / "log.csv").write_text("\n".join(["user,track_id,timestamp", *lines]))
    options = ("--since", "2011-06-01", "--until", "2016-06-01", "--min-listeners", 4)
    status, _, err = audiorec("factorize", "log.csv", *BASE, *options)
    assert status == 0
    assert "log.csv: CSV or TSV with a header, such as Last.fm scrobbles: 12 plays of 2" in err
    assert "4 tracks have too few plays or listeners" in err
    factors = files.load_factors("factors.h5")
    assert factors.log.user_id == [f"u{u}" for u in range(1, 7)]
    assert factors.log.tracks.track_id == ["t0", "t1"]
    status, _, err = audiorec("factorize", "log.csv", *BASE, "--half-life", 365)
    assert status == 0
    plays = files.load_factors("factors.h5").log.plays
    assert plays.max() == 1
    assert audiorec("factorize", "log.csv", *BASE, "--until", "9999-12-31")[0] == 0
    assert plays.min() < 0.01


def test_one_persons_history_is_told_to_be_split(here, audiorec):
    lines = [f"{1_700_000_000 + 4000 * (i // 4)},track {i % 7},band" for i in range(60)]
    (here / "log.csv").write_text("\n".join(["timestamp,title,artist", *lines]))
    status, _, err = audiorec("factorize", "log.csv", *BASE)
    assert status == 1
    assert "no column for the user" in err
    assert "split it with --group-by session" in err
    status, _, err = audiorec("factorize", "log.csv", *BASE, "--group-by", "session")
    assert status == 0
    assert "60 plays of 7 tracks by 15 listeners" in err
    assert files.load_factors("factors.h5").params["log"]["by_session"] is True


@pytest.mark.parametrize("day", ["yesterday", "2024-13-01", "01.02.2024"])
def test_a_day_that_is_none_is_wrong_usage(here, log, audiorec, day):
    status, _, err = audiorec("factorize", "log.csv", "--since", day)
    assert status == 2
    assert "is no day such as 2024-12-31" in " ".join(err.replace("│", "").split())


def test_nothing_is_said_of_threads(factorized, audiorec, log):
    """implicit warns of BLAS threads, which are set as it asks."""
    status, _, err = audiorec("factorize", log, "out.h5", *BASE)
    assert status == 0
    assert "BLAS" not in err and "Warning" not in err


def test_names_that_are_no_utf8_are_told(here, audiorec):
    rows = [f"u{u},Bj\xf6rk,t{i}" for u in range(6) for i in range(4) if (u + i) % 3]
    (here / "log.csv").write_bytes("\n".join(["user,artist,title", *rows]).encode("latin-1"))
    status, _, err = audiorec("factorize", "log.csv", *BASE)
    assert status == 0
    assert "1 name not in UTF-8, and spoilt: save the log in UTF-8" in err


def test_days_in_the_wrong_order_are_one_line(audiorec, log):
    status, _, err = audiorec("factorize", log, "--since", "2021-01-01", "--until", "2020-01-01")
    assert status == 1
    assert "--since is a later day than --until: swap them" in err
