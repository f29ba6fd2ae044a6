"""audiorec recommend and audience: new music to the right listeners."""

import json
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from audiorec_cli import files
from audiorec_cli.commands.own_space import OWN_SPACE
from audiorec_cli.records import Predictions
from two_tastes import N_TRACKS, N_USERS, listed, numbers, played_by


def test_tracks_of_the_listeners_taste_come_first_and_heard_ones_not_at_all(two_tastes, audiorec):
    for user in (4, 7):
        found = numbers(listed(audiorec, f"u{user}", "-k", 6))
        assert {t % 2 for t in found} == {user % 2}
        assert not played_by(user) & set(found)
        everything = numbers(listed(audiorec, f"u{user}", "-k", 99))
        assert len(everything) == N_TRACKS - len(played_by(user))


def test_new_only_lists_what_nobody_has_played(two_tastes, audiorec):
    table = listed(audiorec, "u4", "-k", 4, "--new-only")
    assert set(numbers(table)) == {24, 26, 28, 30}
    assert {row["listeners"] for row in table} == {0}
    assert [row["rank"] for row in table] == [1, 2, 3, 4]
    scores = [row["score"] for row in table]
    assert scores == sorted(scores, reverse=True)


def test_because_names_what_was_played_of_the_same_taste(two_tastes, audiorec):
    """A history of both tastes: for each track it is one of its own that speaks."""
    (two_tastes / "both.csv").write_text("track_id\nfolder/2\nfolder/4\nfolder/3\nfolder/5\n")
    table = listed(audiorec, "--history", "both.csv", "-k", 99)
    assert {t % 2 for t in numbers(table[:20])} == {0, 1}
    for row, track in zip(table[:20], numbers(table), strict=False):
        assert int(row["because"].removeprefix("folder/")) % 2 == track % 2


def test_heard_tracks_can_be_kept(two_tastes, audiorec):
    assert played_by(4) < set(numbers(listed(audiorec, "u4", "-k", 99, "--keep-heard")))


def test_an_artist_can_be_limited(two_tastes, audiorec):
    table = listed(audiorec, "u4", "-k", 9, "--max-per-artist", 2)
    assert [row["artist"] for row in table].count("artist 0") == 2
    assert len(table) == 4


def test_diversity_brings_the_other_taste_up(two_tastes, audiorec):
    plain = numbers(listed(audiorec, "u4", "-k", 4))
    diverse = numbers(listed(audiorec, "u4", "-k", 4, "--diversity", 0.7))
    assert {t % 2 for t in plain} == {0}
    assert {t % 2 for t in diverse} == {0, 1}


def test_a_playlist_of_the_recommendations(two_tastes, audiorec):
    status, out, err = audiorec("recommend", "u4", "-k", 3, "-o", "for-u4.m3u8")
    assert status == 0
    assert "for-u4.m3u8: 3 tracks" in err
    assert len(out.splitlines()) == 4
    lines = (two_tastes / "for-u4.m3u8").read_text().splitlines()
    assert "#PLAYLIST:recommended to u4" in lines
    assert sum(line.startswith("/music/folder/") for line in lines) == 3


def test_what_says_nothing_without_outliers_is_refused_before_work_goes_into_it(
    two_tastes, audiorec
):
    (two_tastes / "predictions.h5").unlink()
    status, out, err = audiorec("recommend", "u4", "--outlier-score", 3)
    assert (status, out) == (1, "")
    told = "--outlier-score goes with --drop-outliers: add that, or leave --outlier-score out"
    assert err == f"error: {told}\n"


def test_a_listener_who_is_not_there_is_one_line_with_names_like_it(two_tastes, audiorec):
    status, out, err = audiorec("recommend", "u4x")
    assert (status, out) == (1, "")
    assert 'error: the log has no listener "u4x" (it has u4' in err
    assert "--history FILE" in err


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        ((), 2, "name a listener"),
        (("u4", "--all-users", "all.h5"), 1, "--all-users goes without"),
        (("--all-users", "all.txt"), 1, "end its name in .h5 or .parquet"),
        (("u4", "--relative-to", "."), 1, "--relative-to goes with --out"),
        (("--all-users", "all.h5", "--json"), 1, "--all-users goes without --out, --relative-to"),
        (("u4", "--format", "table"), 1, "--format goes with --history"),
        (("u4", "--outlier-score", 3), 1, "--outlier-score goes with --drop-outliers"),
        (("u4", "--blend"), 1, "no checkpoint file in this folder"),
        (("u4", "--checkpoint", "model.h5"), 1, "model.h5"),
    ],
)
def test_requests_that_do_not_fit_together(two_tastes, audiorec, arguments, status, said):
    got, out, err = audiorec("recommend", *arguments)
    assert (got, out) == (status, "")
    assert said in err


@pytest.mark.parametrize("options", [(), ("--new-only",), ("--max-per-artist", 2)])
def test_all_users_get_what_each_alone_would(two_tastes, audiorec, options):
    status, out, err = audiorec("recommend", "--all-users", "all.h5", "-k", 5, *options)
    assert (status, out) == (0, "")
    assert "all.h5: 5 tracks at most for 30 listeners\n" in err
    made = files.load_recommendations("all.h5")
    assert audiorec("recommend", "--all-users", "all.parquet", "-k", 5, *options)[0] == 0
    table = pl.read_parquet("all.parquet")
    for user in ("u4", "u7"):
        alone = listed(audiorec, user, "-k", 5, *options)
        place = made.user_id.index(user)
        rows = [row for row in made.recommended[place].tolist() if row >= 0]
        ids = [row["track_id"] for row in alone]
        assert [made.tracks.track_id[row] for row in rows] == ids
        own = table.filter(pl.col("user_id") == user)
        assert own["track_id"].to_list() == ids
        assert own["rank"].to_list() == [row["rank"] for row in alone]
        np.testing.assert_allclose(own["score"], [row["score"] for row in alone], atol=1e-5)


def test_lists_that_are_cut_short_end_in_no_track(two_tastes, audiorec):
    assert audiorec("recommend", "--all-users", "all.h5", "-k", 6, "--max-per-artist", 2)[0] == 0
    made = files.load_recommendations("all.h5")
    assert (made.recommended[:, :4] >= 0).all()
    assert (made.recommended[:, 4:] == -1).all()


def test_an_audience_shares_the_taste_and_has_not_heard_the_track(two_tastes, audiorec):
    status, out, err = audiorec("audience", "title 25", "-k", 9, "--tracks", 4, "--json")
    assert status == 0, err
    answer = json.loads(out)
    assert answer["track_id"] == "folder/25"
    assert {int(row["listener"][1:]) % 2 for row in answer["listeners"]} == {1}
    assert len(answer["listeners"]) == 9
    assert {int(row["track_id"].removeprefix("folder/")) % 2 for row in answer["tracks"]} == {1}
    assert all(row["listeners"] > 0 for row in answer["tracks"])
    status, out, _ = audiorec("audience", "title 4", "-k", 99, "--json")
    listeners = {row["listener"] for row in json.loads(out)["listeners"]}
    assert listeners == {f"u{u}" for u in range(N_USERS) if 4 not in played_by(u)}
    status, out, _ = audiorec("audience", "title 4", "-k", 99, "--keep-heard", "--json")
    assert len(json.loads(out)["listeners"]) == N_USERS


def test_an_audience_is_two_tables(two_tastes, audiorec):
    status, out, err = audiorec("audience", "title 25", "-k", 2, "--tracks", 3)
    assert status == 0
    assert "artist 1 - title 25: the factors know of 0 listeners" in err
    listeners, tracks = (block.splitlines() for block in out.split("\n\n"))
    assert listeners[0].split("\t") == ["rank", "score", "listener", "tracks_played", "because"]
    assert [len(listeners), len(tracks)] == [3, 4]


def test_predictions_in_a_space_of_their_own_are_recommended_by_what_was_played(
    two_tastes, audiorec
):
    """Where a contrast of plays made the space, listeners lie where their tracks are predicted."""
    predicted = files.load_predictions("predictions.h5")
    turned = np.roll(predicted.predicted_factors, 1, axis=1) * np.float32([1, -1])
    own = Predictions(predicted.tracks, turned, "print", "/music", params={"factors": OWN_SPACE})
    files.save_predictions("predictions.h5", own)
    for user in (4, 7):
        table = listed(audiorec, f"u{user}", "-k", 4, "--new-only")
        assert {t % 2 for t in numbers(table)} == {user % 2}
        assert all(int(row["because"].removeprefix("folder/")) % 2 == user % 2 for row in table)
    log = (two_tastes / "log.tsv").read_text().splitlines()
    mine = [line for line in log if line.startswith(("user_id", "u4\t"))]
    (two_tastes / "mine.tsv").write_text("\n".join(mine) + "\n")
    folded = listed(audiorec, "--history", "mine.tsv", "-k", 8)
    assert numbers(folded) == numbers(listed(audiorec, "u4", "-k", 8))
    _, _, err = audiorec("recommend", "u4")
    assert "predictions.h5 lies in a space of its own: listeners are placed by what they" in err
    status, out, err = audiorec("recommend", "u4", "--blend-at", 3)
    assert (status, out) == (1, "")
    assert "where listening puts no track" in err


def test_a_log_of_artists_leaves_out_all_songs_of_those_played(here, audiorec, tracks):
    """Songs of eight artists, four of them of either taste; a listener plays three of four."""
    rows = [
        f"u{u},a{a}" for u in range(24) for a in range(8) if u % 2 == a % 2 and (a + u) // 2 % 4
    ]
    (here / "log.csv").write_text("\n".join(["user,artist", *rows]))
    assert audiorec("factorize", "log.csv", "--factors", 2)[0] == 0
    factors = files.load_factors("factors.h5")
    table = tracks(16)
    table = replace(table, artist=[f"a{song // 2}" for song in range(16)])
    row_of = {artist: row for row, artist in enumerate(factors.log.tracks.artist)}
    where = factors.track_factors[[row_of[artist] for artist in table.artist]]
    params = {"factors": factors.fingerprint}
    made = Predictions(table, where, "print", "/music", params=params)
    files.save_predictions("predictions.h5", made)
    for user in (0, 5):
        played = {f"a{a}" for a in range(8) if user % 2 == a % 2 and (a + user) // 2 % 4}
        table = listed(audiorec, f"u{user}")
        assert {row["artist"] for row in table} == {f"a{a}" for a in range(8)} - played
        best = [row["artist"] for row in table[:2]]
        assert best[0] == best[1]
        assert int(best[0][1:]) % 2 == user % 2


def test_tracks_held_out_are_new_and_yet_heard(two_tastes, audiorec):
    assert audiorec("factorize", "log.tsv", "--factors", 2, "--holdout", 0.3)[0] == 0
    factors = files.load_factors("factors.h5")
    predicted = files.load_predictions("predictions.h5")
    params = {"factors": factors.fingerprint}
    files.save_predictions("predictions.h5", replace(predicted, params=params))
    ids = factors.log.tracks.track_id
    held_out = {ids[row] for row in np.flatnonzero(factors.is_held_out)}
    table = listed(audiorec, "u4", "-k", 99, "--new-only", "--keep-heard")
    logged = {row["track_id"] for row in table} & set(ids)
    assert logged == held_out
    not_heard = {row["track_id"] for row in listed(audiorec, "u4", "-k", 99, "--new-only")}
    assert not_heard & set(ids) == held_out - {f"folder/{t}" for t in played_by(4)}


def test_listeners_whose_tracks_the_fit_lost_have_no_taste(here, audiorec, tracks):
    """Two listeners of one lonely track, which two factors have no room for."""
    rows = [f"u{u},folder/{t}" for u in range(20) for t in range(8) if u % 2 == t % 2]
    lonely = ["odd,folder/8", "odd2,folder/8"]
    (here / "log.csv").write_text("\n".join(["user_id,track_id", *rows, *lonely]))
    assert audiorec("factorize", "log.csv", "--factors", 2)[0] == 0
    factors = files.load_factors("factors.h5")
    assert "folder/8" not in factors.log.tracks.track_id
    params = {"factors": factors.fingerprint}
    where = factors.track_factors[np.arange(10) % 8]
    files.save_predictions(
        "predictions.h5", Predictions(tracks(10), where, "print", "/music", params=params)
    )
    status, out, err = audiorec("recommend", "odd")
    assert (status, out) == (1, "")
    assert "odd played nothing that the factors were fitted to" in err
    status, out, _ = audiorec("audience", "title 8", "-k", 99, "--json")
    assert {row["listener"] for row in json.loads(out)["listeners"]} == {f"u{u}" for u in range(20)}
    assert audiorec("recommend", "--all-users", "all.h5")[0] == 0
    assert "odd" not in files.load_recommendations("all.h5").user_id


def test_names_that_are_not_utf8_come_into_the_parquet_file(two_tastes, audiorec):
    predicted = files.load_predictions("predictions.h5")
    named = replace(predicted.tracks, title=["caf\udce9"] * N_TRACKS)
    files.save_predictions("predictions.h5", replace(predicted, tracks=named))
    assert audiorec("recommend", "--all-users", "all.parquet", "-k", 2)[0] == 0
    assert set(pl.read_parquet("all.parquet")["title"]) == {"caf\\udce9"}


def test_more_than_there_is_is_no_more_work(two_tastes, audiorec):
    status, _, err = audiorec("recommend", "--all-users", "all.h5", "-k", 10**15, "--new-only")
    assert status == 0
    assert "all.h5: 8 tracks at most for 30 listeners\n" in err
    assert files.load_recommendations("all.h5").recommended.shape == (30, 8)


def test_a_parquet_file_that_is_something_else_is_left_alone(two_tastes, audiorec):
    log = pl.DataFrame({"user_id": ["a"], "track_id": ["t"], "plays": [1]})
    log.write_parquet("log.parquet")
    before = (two_tastes / "log.parquet").read_bytes()
    status, _, err = audiorec("recommend", "--all-users", "log.parquet")
    assert status == 1
    assert "log.parquet exists and holds no recommendations: name another file" in err
    assert (two_tastes / "log.parquet").read_bytes() == before
    for _ in range(2):  # its own is replaced
        assert audiorec("recommend", "--all-users", "lists.parquet", "-k", 2)[0] == 0
