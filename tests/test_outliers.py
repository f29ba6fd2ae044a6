"""Tracks whose sound does not fit where listening put them: found, shown, left out of lists."""

import json
import os
import pty
import runpy
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from audiorec_cli import files
from audiorec_cli.convnet import presets
from audiorec_cli.retrieval.outliers import outlier_scores

N, STRAY = 40, 3  # tracks, half of them in each camp, and the one that sounds like the other camp
BENCH = Path(__file__).parent / "bench" / "outliers.py"


def unit(vectors):
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def camps(n=N, seed=0):
    """Listening in two camps, (n, 4), the first half of the tracks in one of them."""
    noise = np.random.default_rng(seed).normal(size=(n, 4)) / 20
    return unit(np.eye(4)[np.repeat([0, 1], n // 2)] + noise)


def sounds(n=N, n_features=6, seed=1):
    """Sound, (n, n_features), in the same camps, but for the stray, which is in the other one."""
    camp = np.repeat([0, 1], n // 2)
    camp[STRAY] = 1 - camp[STRAY]
    noise = np.random.default_rng(seed).normal(size=(n, n_features)) / 10
    return np.where(camp[:, None] == 0, 1.0, -1.0) + noise


def test_what_sounds_like_the_other_camp_is_the_worst():
    for n in (20, N, 600):
        scores = outlier_scores(camps(n), [sounds(n)])
        assert scores.argmax() == STRAY
        assert scores[STRAY] > 3
        assert np.median(scores) == pytest.approx(0, abs=1e-9)


def test_a_sound_of_its_own_is_far_from_every_place():
    sound = np.random.default_rng(2).normal(size=(50, 6))
    sound[7] += 30
    assert outlier_scores(camps(50), [sound]).argmax() == 7
    everywhere_the_same = np.tile(np.eye(4, dtype=np.float32)[0], (50, 1))
    assert outlier_scores(everywhere_the_same, [sound]).argmax() == 7


def test_many_odd_sounds_do_not_hide_each_other():
    rng = np.random.default_rng(3)
    sound, odd = rng.normal(size=(200, 30)), rng.choice(200, 20, replace=False)
    sound[odd, 0] += 15
    scores = outlier_scores(camps(200), [sound])
    assert set(np.argsort(-scores)[:20]) == set(odd)


def test_what_is_not_known_has_no_score_and_counts_for_nothing():
    listened, sound = camps(), sounds()
    more_listened = np.concatenate([listened, np.zeros((1, 4), np.float32), listened[:1]])
    more_sound = np.concatenate([sound, sound[:1] * 1000, np.full((1, 6), np.nan)])
    scores = outlier_scores(more_listened, [more_sound])
    assert np.isnan(scores[N:]).all()
    np.testing.assert_allclose(scores[:N], outlier_scores(listened, [sound]))


def test_tracks_that_sound_the_same_have_the_same_score():
    same = np.ones((N, 6))
    assert not outlier_scores(camps(), [same]).any()
    one_differs = same.copy()
    one_differs[5, 0] += 1
    scores = outlier_scores(camps(), [one_differs])
    assert scores.argmax() == 5
    assert len(set(np.delete(scores, 5))) == 1


def test_neither_units_nor_the_number_of_features_weigh():
    listened, one, other = camps(60), sounds(60), np.random.default_rng(4).normal(size=(60, 9))
    plain = outlier_scores(listened, [one, other])
    np.testing.assert_allclose(outlier_scores(listened, [one * 1000 + 5, other]), plain)
    drowning = np.random.default_rng(5).normal(size=(60, 500))
    assert outlier_scores(listened, [one, drowning]).argmax() == STRAY


def test_too_few_to_compare_have_no_score():
    listened, sound = camps()[:20], sounds()[:20]
    assert np.isfinite(outlier_scores(listened, [sound])).all()
    listened[0] = 0
    assert np.isnan(outlier_scores(listened, [sound])).all()


@pytest.fixture
def library(here, predictions_file, factors_file):
    """Tracks in two camps; what sounds like the other camp stands in the first."""
    predicted = unit(np.eye(4)[np.where(sounds()[:, 0] > 0, 0, 1)] + camps(seed=5) / 20)
    means = 3 + np.repeat(sounds(n_features=4), 32, axis=1)
    deviations = np.random.default_rng(6).normal(1, 0.05, size=(N, 128))
    statistics = np.hstack([means, deviations]).astype(np.float16)
    predictions_file("predictions.h5", predicted, mel_statistics=statistics)
    factors_file("factors.h5", factors=camps())
    return here


def test_a_sound_of_one_feature_has_a_score():
    assert outlier_scores(camps(), [sounds(n_features=1)]).argmax() == STRAY


@pytest.fixture
def listed(library, audiorec):
    """Runs outliers, or another command: returns its rows and stderr."""

    def run(*arguments, command="outliers"):
        status, out, err = audiorec(command, *arguments, "--json")
        assert status == 0, err
        return json.loads(out), err

    return run


def numbers(rows):
    return [int(row["title"].split()[1]) for row in rows]


def test_the_worst_comes_first_with_both_its_neighbourhoods(listed):
    rows, err = listed("-k", N)
    assert [row["rank"] for row in rows] == list(range(1, N + 1))
    assert numbers(rows)[0] == STRAY
    assert [row["score"] for row in rows] == sorted((row["score"] for row in rows), reverse=True)
    by_listening, by_sound = (numbers(rows[0][column]) for column in ("listening", "sound"))
    assert all(other < N // 2 for other in by_listening)
    assert all(other >= N // 2 for other in by_sound)
    # one an artist, and there are two
    assert len(by_listening) == len(by_sound) == 2
    assert f"1 of {N} scores are 2 or more" in err


def test_k_and_min_score_shorten_the_list(listed):
    assert len(listed("-k", 2)[0]) == 2
    assert numbers(listed("--min-score", 4)[0]) == [STRAY]
    rows, err = listed("--min-score", 99)
    assert rows == []
    assert "no track has a score of 99 or more" in err


def test_a_pipe_gets_all_columns(library, audiorec):
    _, out, _ = audiorec("outliers", "-k", 1)
    header, row = (line.split("\t") for line in out.splitlines())
    assert header == ["rank", "score", "artist", "title", "listening", "sound", "track_id", "path"]
    assert row[2:4] == ["artist 1", f"title {STRAY}"]
    assert row[4].count("; ") == 1
    assert "artist 0 - title" in row[4]
    assert row[6:] == [f"folder/{STRAY}", f"folder/{STRAY}.flac"]


def test_a_terminal_shows_it_in_120_columns(library):
    leader, follower = pty.openpty()
    command = [sys.executable, "-m", "audiorec_cli", "outliers", "-k", "1"]
    environment = {**os.environ, "COLUMNS": "120", "TERM": "dumb"}
    with subprocess.Popen(
        command, stdout=follower, stderr=subprocess.DEVNULL, env=environment
    ) as process:
        os.close(follower)
        shown = b""
        while part := _read(leader):
            shown += part
    os.close(leader)
    assert process.returncode == 0
    lines = shown.decode().splitlines()
    assert max(map(len, lines)) <= 120
    assert f"title {STRAY}" in lines[1]
    assert "folder/" not in shown.decode()


def _read(leader):
    try:
        return os.read(leader, 1000)
    except OSError:  # the other end is closed
        return b""


def test_a_playlist_to_listen_to(library, audiorec):
    status, out, err = audiorec("outliers", "-k", 2, "-o", "odd.m3u8")
    assert status == 0
    assert "odd.m3u8: 2 tracks" in err
    assert f"/music/folder/{STRAY}.flac" in (library / "odd.m3u8").read_text()
    assert out.startswith("rank")
    _, out, _ = audiorec("outliers", "-k", 1, "-o", "-")
    assert out.splitlines()[0] == "#EXTM3U"
    assert "rank" not in out


def test_tracks_new_to_the_log_have_no_score(listed, factors_file):
    factors_file("factors.h5", factors=camps()[: N - 2])
    rows, err = listed("-k", N)
    assert sorted(numbers(rows)) == list(range(N - 2))
    assert "2 tracks without a score: the log has no play of them" in err


def test_both_descriptions_of_the_sound_tell(library, listed):
    predicted, (worst, *_) = files.load_predictions("predictions.h5"), listed()[0]
    statistics = predicted.mel_statistics.copy()
    statistics[STRAY] = statistics[STRAY + 1]  # which sounds as its camp does
    files.save_predictions("predictions.h5", replace(predicted, mel_statistics=statistics))
    rows, err = listed()
    assert numbers(rows)[0] == STRAY
    assert rows[0]["score"] < worst["score"]
    assert "mel statistics" not in err


def test_predictions_without_mel_statistics_are_judged_by_what_they_have(library, listed):
    with h5py.File("predictions.h5", "r+") as file:
        del file["mel_statistics"]
        file.attrs["schema_version"] = 3
    rows, err = listed()
    assert numbers(rows)[0] == STRAY
    assert "predictions.h5 holds no mel statistics, being of an older version" in err
    assert "make it again with 'audiorec predict'" in err


def test_files_that_do_not_belong_together_are_one_line(library, audiorec):
    predictions = files.load_predictions("predictions.h5")
    of_others = replace(predictions, params={"factors": "other"})
    files.save_predictions("predictions.h5", of_others)
    status, out, err = audiorec("outliers")
    assert (status, out) == (1, "")
    assert "predictions.h5 holds predictions of other factors than factors.h5 has" in err


def test_too_few_tracks_to_compare_are_one_line(library, audiorec, factors_file):
    factors_file("factors.h5", factors=camps()[:2])
    status, out, err = audiorec("outliers")
    assert (status, out) == (1, "")
    assert "fewer than 20 tracks are both in the log and in predictions.h5" in err.splitlines()[-1]


def test_similar_leaves_outliers_out(listed):
    asked = ("title 30", "-k", N)
    assert STRAY in numbers(listed(*asked, command="similar")[0])
    rows, err = listed(*asked, "--drop-outliers", command="similar")
    assert sorted(numbers(rows)) == [i for i in range(N) if i != STRAY]
    assert f"1 outlier of {N} tracks left out: a score of 2 or more" in err


def test_recommend_leaves_outliers_out(listed):
    asked = ("u", "-k", N, "--keep-heard")
    assert STRAY in numbers(listed(*asked, command="recommend")[0])
    rows, err = listed(*asked, "--drop-outliers", command="recommend")
    assert sorted(numbers(rows)) == [i for i in range(N) if i != STRAY]
    assert f"1 outlier of {N} tracks left out: a score of 2 or more" in err
    assert (
        len(listed(*asked, "--drop-outliers", "--outlier-score", 99, command="recommend")[0]) == N
    )


@pytest.mark.parametrize("by", ["factors", "usage", "listening"])
def test_what_is_asked_for_is_no_outlier(listed, by):
    asked = (f"title {STRAY}", "-k", N, "--drop-outliers", "--by", by)
    rows, _ = listed(*asked, command="similar")
    assert sorted(numbers(rows)) == list(range(N))
    rows, _ = listed("title 30", "--not", f"title {STRAY}", *asked[1:], command="similar")
    assert sorted(numbers(rows)) == [i for i in range(N) if i != STRAY]
    rows, _ = listed("title 30", "--path-to", f"title {STRAY}", "-k", 3, *asked[3:],
                     command="similar")  # fmt: skip
    assert numbers(rows)[-1] == STRAY


@pytest.mark.parametrize(
    "arguments",
    [("outliers", "--min-score"), ("similar", "title 30", "--drop-outliers", "--outlier-score")],
)
def test_a_score_that_is_no_number_is_wrong_usage(library, audiorec, arguments):
    assert audiorec(*arguments, "nan")[0] == 2


def test_the_score_of_an_outlier_can_be_set(listed, audiorec):
    asked = ("title 30", "-k", N, "--drop-outliers", "--outlier-score")
    assert len(listed(*asked, 99, command="similar")[0]) == N
    assert numbers(listed(*asked, -99, command="similar")[0]) == [30]
    status, out, err = audiorec("similar", *asked, -99, "--no-query")
    assert (status, out) == (1, "")
    assert "no track is left to list" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--outlier-score", 2), "--outlier-score goes with --drop-outliers: add that, or leave"),
        (("--mels", "mels.h5"), "--mels goes with --duplicates drop: add that, or leave --mels"),
        (("--drop-outliers", "--factors", "no.h5"), "no.h5"),
    ],
)
def test_what_goes_with_dropping(library, audiorec, arguments, message):
    status, out, err = audiorec("similar", "title 30", *arguments)
    assert (status, out) == (1, "")
    assert message in err.splitlines()[-1]


def test_the_bench_plants_and_compares(here, write_tone, monkeypatch, capfd, quick_training):
    import mutagen

    modern = presets.PRESETS["modern"]
    short = replace(modern, training=replace(modern.training, epochs=2))
    monkeypatch.setitem(presets.PRESETS, "modern", short)
    rng = np.random.default_rng(0)
    for artist in range(5):
        for song in range(3):
            path = f"songs/{artist}/{song}.flac"
            write_tone(path, 12.0, hz=200 + 100 * artist + 10 * song)
            tags = mutagen.File(path, easy=True)
            tags.update({"artist": f"artist {artist}", "title": f"song {song}"})
            tags.save()
    rows = [f"u{u}\tartist {a}\t1" for u, a in np.argwhere(rng.random((60, 45)) < 0.3)]
    Path("log.tsv").write_text("\n".join(["user_id\tartist\tplays", *rows]))
    monkeypatch.setattr(sys, "argv", ["", "songs", "log.tsv", "--each", "1", "--seeds", "1"])
    bench = runpy.run_path(str(BENCH))
    monkeypatch.setitem(bench["main"].__globals__, "RESAMPLES", 100)
    bench["main"]()
    areas, shares, fit = capfd.readouterr().out.split("\n\n")
    names = [line.split("\t")[0] for line in areas.splitlines()]
    assert names[0].startswith("1 runs, 15 songs, planted: 1 noise, 1 speech, 1 intro")
    assert {"outliers", "distance to the artist's mean mel"} < set(names)
    assert len(shares.splitlines()) == 4
    assert [line.split("\t")[0] for line in fit.splitlines()[1:]] == [
        "trained on",
        "not trained on",
    ]
