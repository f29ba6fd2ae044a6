"""audiorec recommend and audience: new music to the right listeners."""

import json
import re
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from scipy.sparse import csr_matrix

from audiorec_cli import files
from audiorec_cli.commands.blending import chosen_trust
from audiorec_cli.commands.own_space import OWN_SPACE
from audiorec_cli.errors import AudiorecError
from audiorec_cli.records import Predictions, Tracks

N_LOGGED, N_TRACKS, N_USERS = 24, 32, 30


@pytest.fixture
def world(here, audiorec, tracks):
    """Even listeners play even tracks and odd ones odd tracks, all but a few of their own taste.

    Tracks 24 to 31 are new; predicted factors are of the right taste. Two artists in turn: the
    tags are those of the fixture, "artist 0" even and "artist 1" odd.
    """
    rng = np.random.default_rng(0)
    lines = ["user_id\ttrack_id\tplays"]
    for user in range(N_USERS):
        own = [t for t in range(N_LOGGED) if t % 2 == user % 2 and (t // 2 + user // 2) % 4]
        lines += [f"u{user}\tfolder/{t}\t{1 + rng.integers(9)}" for t in own]
    (here / "log.tsv").write_text("\n".join(lines) + "\n")
    assert audiorec("factorize", "log.tsv", "--factors", 2)[0] == 0
    factors = files.load_factors("factors.h5")
    row_of = factors.log.tracks.row_of_track_id
    tastes = np.array(
        [
            np.mean([factors.track_factors[row_of[f"folder/{t}"]] for t in range(p, 24, 2)], axis=0)
            for p in (0, 1)
        ]
    )
    tastes /= np.linalg.norm(tastes, axis=1, keepdims=True)
    angles = rng.normal(scale=0.05, size=N_TRACKS)
    turn = np.array([[np.cos(angles), -np.sin(angles)], [np.sin(angles), np.cos(angles)]])
    predicted = np.einsum("ijn,nj->ni", turn, tastes[np.arange(N_TRACKS) % 2]).astype(np.float32)
    params = {"factors": factors.fingerprint}
    made = Predictions(tracks(N_TRACKS), predicted, "print", "/music", params=params)
    files.save_predictions("predictions.h5", made)
    return here


def listed(audiorec, *arguments):
    """The table of `recommend` as dictionaries."""
    status, out, err = audiorec("recommend", *arguments, "--json")
    assert status == 0, err
    return json.loads(out)


def numbers(table):
    return [int(row["track_id"].removeprefix("folder/")) for row in table]


def played_by(user):
    return {t for t in range(N_LOGGED) if t % 2 == user % 2 and (t // 2 + user // 2) % 4}


def test_tracks_of_the_listeners_taste_come_first_and_heard_ones_not_at_all(world, audiorec):
    for user in (4, 7):
        found = numbers(listed(audiorec, f"u{user}", "-k", 6))
        assert {t % 2 for t in found} == {user % 2}
        assert not played_by(user) & set(found)
        everything = numbers(listed(audiorec, f"u{user}", "-k", 99))
        assert len(everything) == N_TRACKS - len(played_by(user))


def test_new_only_lists_what_nobody_has_played(world, audiorec):
    table = listed(audiorec, "u4", "-k", 4, "--new-only")
    assert set(numbers(table)) == {24, 26, 28, 30}
    assert {row["listeners"] for row in table} == {0}
    assert [row["rank"] for row in table] == [1, 2, 3, 4]
    scores = [row["score"] for row in table]
    assert scores == sorted(scores, reverse=True)


def test_a_history_is_not_written_over(world, audiorec):
    (world / "mine.m3u8").write_text("/music/folder/2.flac\n")
    status, _, err = audiorec("recommend", "--history", "mine.m3u8", "-o", "mine.m3u8")
    assert status == 1
    assert "mine.m3u8 is what the list is made from: name another file with --out" in err
    assert (world / "mine.m3u8").read_text() == "/music/folder/2.flac\n"


def test_because_names_what_was_played_of_the_same_taste(world, audiorec):
    """A history of both tastes: for each track it is one of its own that speaks."""
    (world / "both.csv").write_text("track_id\nfolder/2\nfolder/4\nfolder/3\nfolder/5\n")
    table = listed(audiorec, "--history", "both.csv", "-k", 99)
    assert {t % 2 for t in numbers(table[:20])} == {0, 1}
    for row, track in zip(table[:20], numbers(table), strict=False):
        assert int(row["because"].removeprefix("folder/")) % 2 == track % 2


def test_heard_tracks_can_be_kept(world, audiorec):
    assert played_by(4) < set(numbers(listed(audiorec, "u4", "-k", 99, "--keep-heard")))


def test_an_artist_can_be_limited(world, audiorec):
    table = listed(audiorec, "u4", "-k", 9, "--max-per-artist", 2)
    assert [row["artist"] for row in table].count("artist 0") == 2
    assert len(table) == 4


def test_diversity_brings_the_other_taste_up(world, audiorec):
    plain = numbers(listed(audiorec, "u4", "-k", 4))
    diverse = numbers(listed(audiorec, "u4", "-k", 4, "--diversity", 0.7))
    assert {t % 2 for t in plain} == {0}
    assert {t % 2 for t in diverse} == {0, 1}


def test_a_playlist_of_the_recommendations(world, audiorec):
    status, out, err = audiorec("recommend", "u4", "-k", 3, "-o", "for-u4.m3u8")
    assert status == 0
    assert "for-u4.m3u8: 3 tracks" in err
    assert len(out.splitlines()) == 4
    lines = (world / "for-u4.m3u8").read_text().splitlines()
    assert "#PLAYLIST:recommended to u4" in lines
    assert sum(line.startswith("/music/folder/") for line in lines) == 3


def test_the_history_of_the_log_gives_what_the_log_gives(world, audiorec):
    log = (world / "log.tsv").read_text().splitlines()
    own = [line for line in log if line.startswith(("user_id", "u4\t"))]
    (world / "mine.tsv").write_text("\n".join(own) + "\n")
    from_log = numbers(listed(audiorec, "u4", "-k", 8))
    folded = numbers(listed(audiorec, "--history", "mine.tsv", "-k", 8))
    assert len(set(from_log) & set(folded)) >= 7
    anonymous = "\n".join(line.split("\t", 1)[1] for line in own) + "\n"
    (world / "mine.tsv").write_text(anonymous)
    assert numbers(listed(audiorec, "--history", "mine.tsv", "-k", 8)) == folded


def test_a_playlist_is_a_history_too(world, audiorec):
    (world / "liked.m3u8").write_text("#EXTM3U\nfolder/1.flac\n/music/folder/25.flac\n../x.flac\n")
    _, _, err = audiorec("recommend", "--history", "liked.m3u8")
    told = "1 of 3 entries are left out: not in the library, and without a name\n"
    assert f"liked.m3u8: {told}" in err
    table = listed(audiorec, "--history", "liked.m3u8", "-k", 8)
    assert {t % 2 for t in numbers(table)} == {1}
    assert not {1, 25} & set(numbers(table))


def test_a_playlist_of_another_library_is_a_history_by_its_names(world, audiorec):
    """Of tracks of the library, and of others that the log knows."""
    factors, predicted = files.load_factors("factors.h5"), files.load_predictions("predictions.h5")
    row, logged = factors.log.tracks.row_of_track_id["folder/1"], factors.log.tracks
    names = {"track_id": "elsewhere", "artist": "Ann", "title": "Song"}
    named = {c: [*getattr(logged, c)] for c in names}
    for column, name in names.items():
        named[column][row] = name
    factors = replace(factors, log=replace(factors.log, tracks=replace(logged, **named)))
    files.save_factors("factors.h5", factors)
    params = {"factors": factors.fingerprint}
    files.save_predictions("predictions.h5", replace(predicted, params=params))
    tracks = [
        {"creator": "Ann", "title": "Song"},
        {"creator": "artist 1", "title": "title 25 - Remastered"},
        {"creator": "Ann", "title": "Song"},
        {"creator": "Who", "title": "What"},
        {"creator": "nameless"},
    ]
    (world / "liked.jspf").write_text(json.dumps({"playlist": {"track": tracks}}))
    status, out, err = audiorec("recommend", "--history", "liked.jspf", "-k", 8, "--json")
    assert status == 0, err
    assert "3 tracks, 1 placed by listening, 1 by sound, 1 by neither: Who - What\n" in err
    assert "1 of 5 entries are left out" in err
    assert {t % 2 for t in numbers(json.loads(out))} == {1}
    assert 25 not in numbers(json.loads(out))


def test_a_history_of_several_asks_whose(world, audiorec):
    status, out, err = audiorec("recommend", "--history", "log.tsv")
    assert (status, out) == (1, "")
    assert "log.tsv has 30 listeners, such as u0, u1, u10: name one of them" in err
    assert len(numbers(listed(audiorec, "u4", "--history", "log.tsv", "-k", 5))) == 5
    status, _, err = audiorec("recommend", "nobody", "--history", "log.tsv")
    assert status == 1
    assert 'log.tsv has no listener "nobody"' in err


def test_a_history_that_shares_nothing_with_the_log_is_one_line(world, audiorec):
    (world / "other.csv").write_text("artist,title\nX,Y\nX,Z\n")
    status, out, err = audiorec("recommend", "--history", "other.csv")
    assert (status, out) == (1, "")
    assert "other.csv: 2 tracks, such as X - Y, and none that the factors were fitted to" in err
    assert err.endswith(": give a history with tracks of either\n")


@pytest.mark.parametrize(
    ("header", "lacking"), [("combo,song", "artist"), ("artist,tune", "title")]
)
def test_a_history_whose_columns_are_half_known_is_told_which_it_lacks(
    world, audiorec, header, lacking
):
    (world / "mine.csv").write_text(f"{header}\nartist 0,title 2\nartist 0,title 4\n")
    status, out, err = audiorec("recommend", "--history", "mine.csv")
    assert (status, out) == (1, "")
    assert f"call its column with the {lacking}s {lacking}" in err.splitlines()[-1]


def test_a_history_reaches_the_log_through_the_library(world, audiorec):
    """Where the log calls its tracks by other ids than the library and the history do."""
    factors, predicted = files.load_factors("factors.h5"), files.load_predictions("predictions.h5")
    row_of = predicted.tracks.row_of_track_id
    of_library = predicted.tracks.take([row_of[name] for name in factors.log.tracks.track_id])
    renamed = replace(
        factors.log.tracks,
        track_id=[f"id {i}" for i in range(len(of_library))],
        title=of_library.title,
        artist=of_library.artist,
    )
    factors = replace(factors, log=replace(factors.log, tracks=renamed))
    files.save_factors("factors.h5", factors)
    params = {**predicted.params, "factors": factors.fingerprint}
    files.save_predictions("predictions.h5", replace(predicted, params=params))
    (world / "ids.csv").write_text("track_id\nfolder/2\nfolder/4\n")
    names = "".join(f"{of_library.artist[i]},{of_library.title[i]}\n" for i in
                    map(of_library.track_id.index, ("folder/2", "folder/4")))  # fmt: skip
    (world / "names.csv").write_text("artist,title\n" + names)
    lists = [listed(audiorec, "--history", name, "-k", 5) for name in ("ids.csv", "names.csv")]
    assert lists[0] == lists[1]
    assert "2 tracks, 2 placed by listening\n" in audiorec("recommend", "--history", "ids.csv")[2]


def test_a_history_counts_tracks_of_the_library_alone_beside_those_of_the_log(world, audiorec):
    (world / "one.csv").write_text("track_id\nfolder/2\n")
    unplayed = "".join(f"folder/{t}\n" for t in (25, 27, 29))
    (world / "more.csv").write_text("track_id\nfolder/2\n" + unplayed)
    one, more = (listed(audiorec, "--history", name, "-k", 6) for name in ("one.csv", "more.csv"))
    assert {t % 2 for t in numbers(one)} == {0}
    assert {t % 2 for t in numbers(more)} == {1}
    assert {25, 27, 29}.isdisjoint(numbers(more))
    assert {row["because"] for row in more} <= {f"artist 1 - title {t}" for t in (25, 27, 29)}


def test_a_history_counts_what_was_held_out_of_the_fit_by_its_sound(world, audiorec):
    factors, predicted = files.load_factors("factors.h5"), files.load_predictions("predictions.h5")
    held = np.isin(factors.log.tracks.track_id, ["folder/3", "folder/5"])
    known = {
        "track_factors": factors.track_factors * ~held[:, None],
        "norm": factors.norm * ~held,
        "is_test": held,
    }
    factors = replace(factors, **known)
    files.save_factors("factors.h5", factors)
    params = {**predicted.params, "factors": factors.fingerprint}
    files.save_predictions("predictions.h5", replace(predicted, params=params))
    (world / "mine.csv").write_text("track_id\nfolder/3\nfolder/5\n")
    table = listed(audiorec, "--history", "mine.csv", "-k", 6)
    assert {t % 2 for t in numbers(table)} == {1}
    assert {3, 5}.isdisjoint(numbers(table))
    _, _, err = audiorec("recommend", "--history", "mine.csv", "-k", 6)
    assert "2 tracks, 0 placed by listening, 2 by sound" in err
    few = [row for row, name in enumerate(predicted.tracks.track_id) if name != "folder/5"]
    rest = {"tracks": predicted.tracks.take(few), "params": params}
    where = predicted.predicted_factors[few]
    files.save_predictions("predictions.h5", replace(predicted, predicted_factors=where, **rest))
    _, _, err = audiorec("recommend", "--history", "mine.csv", "-k", 6)
    assert "2 tracks, 0 placed by listening, 1 by sound, 1 by neither: folder/5\n" in err


def test_rows_of_one_song_are_all_known(world, audiorec):
    rows = "folder/2,title 2,artist 0\nother/2,title 2,artist 0\nfolder/25,title 25,artist 1\n"
    (world / "mine.csv").write_text("track_id,title,artist\n" + rows)
    _, _, err = audiorec("recommend", "--history", "mine.csv", "-k", 3)
    assert "3 tracks, 2 placed by listening, 1 by sound" in err
    assert "by neither" not in err


def test_plays_of_one_song_add_up_where_sound_places(world, audiorec):
    for name, rows in (
        ("twice", "folder/25,title 25,artist 1,3\nother,title 25,artist 1,6\n"),
        ("once", "folder/25,title 25,artist 1,9\n"),
    ):
        others = "folder/24,title 24,artist 0,9\n"
        (world / f"{name}.csv").write_text("track_id,title,artist,plays\n" + rows + others)
    lists = [listed(audiorec, "--history", name, "-k", 5) for name in ("twice.csv", "once.csv")]
    assert [row["score"] for row in lists[0]] == pytest.approx([row["score"] for row in lists[1]])


def test_a_layout_without_names_of_columns_is_not_told_to_rename_them(world, audiorec):
    (world / "mine.tsv").write_text("".join(f"{u}\tx\tsomebody\t5\n" for u in ("me", "me")))
    status, _, err = audiorec("recommend", "--history", "mine.tsv")
    assert status == 1
    assert err.splitlines()[-1].endswith(": give a history with tracks of either")


def test_what_says_nothing_without_outliers_is_refused_before_work_goes_into_it(world, audiorec):
    (world / "predictions.h5").unlink()
    status, out, err = audiorec("recommend", "u4", "--outlier-score", 3)
    assert (status, out) == (1, "")
    told = "--outlier-score goes with --drop-outliers: add that, or leave --outlier-score out"
    assert err == f"error: {told}\n"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("factors.h5", "factors.h5 is an HDF5 file, and no listening log: name one"),
        ("empty.m3u8", "empty.m3u8 names no track: name another playlist"),
        (".", ". holds no listening log that is known: name another"),
        ("/dev/null", "/dev/null is no file: name a listening log"),
    ],
)
def test_a_history_that_is_none_is_one_line(world, audiorec, name, message):
    (world / "empty.m3u8").touch()
    (world / "log.tsv").unlink()
    status, out, err = audiorec("recommend", "--history", name)
    assert (status, out) == (1, "")
    assert err.splitlines()[-1] == f"error: {message}"


def test_a_history_of_one_listener_needs_no_name(world, audiorec):
    (world / "mine.csv").write_text("track_id\nfolder/2\nfolder/4\n")
    status, out, err = audiorec("recommend", "ann", "--history", "mine.csv")
    assert (status, out) == (1, "")
    assert "mine.csv is the history of one listener: leave out USER" in err
    (world / "bob.csv").write_text("user_id,track_id\nbob,folder/2\nbob,folder/4\n")
    _, _, err = audiorec("recommend", "ann", "--history", "bob.csv")
    assert 'bob.csv has no listener "ann" (it has bob): check the name' in err
    (world / "named.csv").write_text("user_id,track_id\nlistener,folder/2\nlistener,folder/4\n")
    assert audiorec("recommend", "listener", "--history", "named.csv")[0] == 0


def test_a_history_of_new_tracks_alone_is_placed_by_their_sound(world, audiorec):
    (world / "new.csv").write_text("track_id,plays\nfolder/25,9\nfolder/27,1\n")
    status, out, err = audiorec("recommend", "--history", "new.csv", "-k", 8, "--json")
    assert status == 0, err
    assert "new.csv: 2 tracks, 0 placed by listening, 2 by sound\n" in err
    table = json.loads(out)
    assert all(track % 2 for track in numbers(table))
    assert {25, 27}.isdisjoint(numbers(table))
    assert {row["because"] for row in table} <= {"artist 1 - title 25", "artist 1 - title 27"}


@pytest.mark.parametrize(
    ("command", "log"), [(("recommend", "--history"), "plays\n3\n"),
                         (("train", "--objective", "contrastive", "--log"), "track_id\nx\n")],
)  # fmt: skip
def test_a_log_without_columns_is_told_what_to_call_them(here, audiorec, world, mels_file,
                                                         command, log):  # fmt: skip
    mels_file("mels.h5")
    (here / "mine.csv").write_text(log)
    status, out, err = audiorec(*command, "mine.csv")
    assert (status, out) == (1, "")
    assert "call its columns user_id, track_id" in err.splitlines()[-1]
    assert "--track-column" not in err and "--group-by" not in err


def test_a_listener_who_is_not_there_is_one_line_with_names_like_it(world, audiorec):
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
def test_requests_that_do_not_fit_together(world, audiorec, arguments, status, said):
    got, out, err = audiorec("recommend", *arguments)
    assert (got, out) == (status, "")
    assert said in err


@pytest.mark.parametrize("options", [(), ("--new-only",), ("--max-per-artist", 2)])
def test_all_users_get_what_each_alone_would(world, audiorec, options):
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


def test_lists_that_are_cut_short_end_in_no_track(world, audiorec):
    assert audiorec("recommend", "--all-users", "all.h5", "-k", 6, "--max-per-artist", 2)[0] == 0
    made = files.load_recommendations("all.h5")
    assert (made.recommended[:, :4] >= 0).all()
    assert (made.recommended[:, 4:] == -1).all()


def test_blending_moves_from_listening_to_sound(world, audiorec):
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


def test_an_audience_shares_the_taste_and_has_not_heard_the_track(world, audiorec):
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


def test_an_audience_is_two_tables(world, audiorec):
    status, out, err = audiorec("audience", "title 25", "-k", 2, "--tracks", 3)
    assert status == 0
    assert "artist 1 - title 25: the factors know of 0 listeners" in err
    listeners, tracks = (block.splitlines() for block in out.split("\n\n"))
    assert listeners[0].split("\t") == ["rank", "score", "listener", "tracks_played", "because"]
    assert [len(listeners), len(tracks)] == [3, 4]


def test_real_listeners_folded_in_by_their_own_history(here, audiorec, real_songs):
    """Whose history is the log's gets at least nine tenths of the log's recommendations."""
    header, *lines = (real_songs / "listens.tsv").read_text().splitlines()
    assert audiorec("factorize", real_songs / "listens.tsv")[0] == 0
    factors = files.load_factors("factors.h5")
    logged, n = factors.log.tracks, len(factors.log.tracks)
    empty = [""] * n
    table = Tracks(
        logged.track_id, [f"{i}.ogg" for i in range(n)], logged.artist, logged.artist, empty,
        np.ones(n), np.arange(n), np.arange(n), empty, empty,
    )  # fmt: skip
    made = Predictions(table, factors.track_factors, "print", "/music")
    files.save_predictions("predictions.h5", made)
    overlaps = []
    for user in factors.log.user_id[:: len(factors.log.user_id) // 3]:
        own = [line for line in lines if line.startswith(f"{user}\t")]
        (here / "own.tsv").write_text("\n".join([header, *own]))
        from_log = {row["track_id"] for row in listed(audiorec, user)}
        folded = {row["track_id"] for row in listed(audiorec, "--history", "own.tsv")}
        overlaps.append(len(from_log & folded) / 30)
    assert np.mean(overlaps) >= 0.9


def test_predictions_in_a_space_of_their_own_are_recommended_by_what_was_played(world, audiorec):
    """Where a contrast of plays made the space, listeners lie where their tracks are predicted."""
    predicted = files.load_predictions("predictions.h5")
    turned = np.roll(predicted.predicted_factors, 1, axis=1) * np.float32([1, -1])
    own = Predictions(predicted.tracks, turned, "print", "/music", params={"factors": OWN_SPACE})
    files.save_predictions("predictions.h5", own)
    for user in (4, 7):
        table = listed(audiorec, f"u{user}", "-k", 4, "--new-only")
        assert {t % 2 for t in numbers(table)} == {user % 2}
        assert all(int(row["because"].removeprefix("folder/")) % 2 == user % 2 for row in table)
    log = (world / "log.tsv").read_text().splitlines()
    mine = [line for line in log if line.startswith(("user_id", "u4\t"))]
    (world / "mine.tsv").write_text("\n".join(mine) + "\n")
    folded = listed(audiorec, "--history", "mine.tsv", "-k", 8)
    assert numbers(folded) == numbers(listed(audiorec, "u4", "-k", 8))
    _, _, err = audiorec("recommend", "u4")
    assert "predictions.h5 lies in a space of its own: listeners are placed by what they" in err
    status, out, err = audiorec("recommend", "u4", "--blend-at", 3)
    assert (status, out) == (1, "")
    assert "where listening puts no track" in err


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


def test_what_nobody_has_played_is_not_blended(world, audiorec):
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


def test_only_factors_of_als_take_in_a_history_or_choose_a_blend(world, audiorec):
    assert audiorec("factorize", "log.tsv", "--factors", 2, "--model", "bpr")[0] == 0
    predicted = files.load_predictions("predictions.h5")
    params = {"factors": files.load_factors("factors.h5").fingerprint}
    files.save_predictions("predictions.h5", replace(predicted, params=params))
    (world / "mine.csv").write_text("track_id\nfolder/1\n")
    status, out, err = audiorec("recommend", "--history", "mine.csv")
    assert (status, out) == (1, "")
    assert "--history takes factors of the model als, and these are of the model bpr" in err
    for row in listed(audiorec, "u4", "-k", 3):
        assert int(row["because"].removeprefix("folder/")) in played_by(4)


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


def test_tracks_held_out_are_new_and_yet_heard(world, audiorec):
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


def test_names_that_are_not_utf8_come_into_the_parquet_file(world, audiorec):
    predicted = files.load_predictions("predictions.h5")
    named = replace(predicted.tracks, title=["caf\udce9"] * N_TRACKS)
    files.save_predictions("predictions.h5", replace(predicted, tracks=named))
    assert audiorec("recommend", "--all-users", "all.parquet", "-k", 2)[0] == 0
    assert set(pl.read_parquet("all.parquet")["title"]) == {"caf\\udce9"}


def test_more_than_there_is_is_no_more_work(world, audiorec):
    status, _, err = audiorec("recommend", "--all-users", "all.h5", "-k", 10**15, "--new-only")
    assert status == 0
    assert "all.h5: 8 tracks at most for 30 listeners\n" in err
    assert files.load_recommendations("all.h5").recommended.shape == (30, 8)


def test_a_parquet_file_that_is_something_else_is_left_alone(world, audiorec):
    log = pl.DataFrame({"user_id": ["a"], "track_id": ["t"], "plays": [1]})
    log.write_parquet("log.parquet")
    before = (world / "log.parquet").read_bytes()
    status, _, err = audiorec("recommend", "--all-users", "log.parquet")
    assert status == 1
    assert "log.parquet exists and holds no recommendations: name another file" in err
    assert (world / "log.parquet").read_bytes() == before
    for _ in range(2):  # its own is replaced
        assert audiorec("recommend", "--all-users", "lists.parquet", "-k", 2)[0] == 0


def test_a_history_names_what_the_log_does_not_know(world, audiorec):
    (world / "mine.csv").write_text("track_id\nfolder/2\nfolder/4\nfolder/25\nmisspelt\n")
    _, _, err = audiorec("recommend", "--history", "mine.csv", "-k", 3)
    told = "2 placed by listening, 1 by sound, 1 by neither: misspelt"
    assert f"mine.csv: 4 tracks, {told}\n" in err
    (world / "known.csv").write_text("track_id\nfolder/2\nfolder/4\n")
    _, _, err = audiorec("recommend", "--history", "known.csv", "-k", 3)
    assert "known.csv: 2 tracks, 2 placed by listening\n" in err


def test_what_sound_places_counts_as_much_less_as_it_was_amiss(world, audiorec, checkpoint_file):
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


def test_a_history_in_a_space_of_its_own_where_the_fit_met_nothing(world, audiorec):
    """A library of new tracks alone and of one that was held out: sound alone places."""
    factors, predicted = files.load_factors("factors.h5"), files.load_predictions("predictions.h5")
    held = np.isin(factors.log.tracks.track_id, ["folder/1"])
    known = {"track_factors": factors.track_factors * ~held[:, None], "norm": factors.norm * ~held}
    files.save_factors("factors.h5", replace(factors, **known, is_test=held))
    rows = [1, *range(24, 32)]
    own = Predictions(
        predicted.tracks.take(rows), predicted.predicted_factors[rows], "print", "/music",
        params={"factors": OWN_SPACE},
    )  # fmt: skip
    files.save_predictions("predictions.h5", own)
    (world / "mine.csv").write_text("track_id\nfolder/25\nfolder/27\n")
    table = listed(audiorec, "--history", "mine.csv", "-k", 3)
    assert set(numbers(table)) == {1, 29, 31}
