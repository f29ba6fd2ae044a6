"""audiorec recommend --history: a listener whom the log does not know, by what they played."""

import json
from dataclasses import replace

import numpy as np
import pytest

from audiorec_cli import files
from audiorec_cli.commands.own_space import OWN_SPACE
from audiorec_cli.records import Predictions, Tracks
from two_tastes import N_TRACKS, listed, numbers, played_by


def test_a_history_is_not_written_over(two_tastes, audiorec):
    (two_tastes / "mine.m3u8").write_text("/music/folder/2.flac\n")
    status, _, err = audiorec("recommend", "--history", "mine.m3u8", "-o", "mine.m3u8")
    assert status == 1
    assert "mine.m3u8 is what the list is made from: name another file with --out" in err
    assert (two_tastes / "mine.m3u8").read_text() == "/music/folder/2.flac\n"


def test_the_history_of_the_log_gives_what_the_log_gives(two_tastes, audiorec):
    log = (two_tastes / "log.tsv").read_text().splitlines()
    own = [line for line in log if line.startswith(("user_id", "u4\t"))]
    (two_tastes / "mine.tsv").write_text("\n".join(own) + "\n")
    from_log = numbers(listed(audiorec, "u4", "-k", 8))
    folded = numbers(listed(audiorec, "--history", "mine.tsv", "-k", 8))
    assert len(set(from_log) & set(folded)) >= 7
    anonymous = "\n".join(line.split("\t", 1)[1] for line in own) + "\n"
    (two_tastes / "mine.tsv").write_text(anonymous)
    assert numbers(listed(audiorec, "--history", "mine.tsv", "-k", 8)) == folded


def test_a_playlist_is_a_history_too(two_tastes, audiorec):
    (two_tastes / "liked.m3u8").write_text(
        "#EXTM3U\nfolder/1.flac\n/music/folder/25.flac\n../x.flac\n"
    )
    _, _, err = audiorec("recommend", "--history", "liked.m3u8")
    told = "1 of 3 entries are left out: not in the library, and without a name\n"
    assert f"liked.m3u8: {told}" in err
    table = listed(audiorec, "--history", "liked.m3u8", "-k", 8)
    assert {t % 2 for t in numbers(table)} == {1}
    assert not {1, 25} & set(numbers(table))


def test_a_playlist_of_another_library_is_a_history_by_its_names(two_tastes, audiorec):
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
    (two_tastes / "liked.jspf").write_text(json.dumps({"playlist": {"track": tracks}}))
    status, out, err = audiorec("recommend", "--history", "liked.jspf", "-k", 8, "--json")
    assert status == 0, err
    assert "3 tracks, 1 placed by listening, 1 by sound, 1 by neither: Who - What\n" in err
    assert "1 of 5 entries are left out" in err
    assert {t % 2 for t in numbers(json.loads(out))} == {1}
    assert 25 not in numbers(json.loads(out))


def test_a_playlist_is_a_history_by_musicbrainz_ids_alone(two_tastes, audiorec):
    mbids = [f"8f3471b5-7e6a-48da-86a9-c1c07a0f47{row:02}" for row in range(N_TRACKS)]
    predicted = files.load_predictions("predictions.h5")
    identified = replace(predicted.tracks, mbid=mbids)
    files.save_predictions("predictions.h5", replace(predicted, tracks=identified))
    url = "https://musicbrainz.org/recording/"
    tracks = [{"identifier": [url + mbids[row]]} for row in (1, 25)]
    (two_tastes / "liked.jspf").write_text(json.dumps({"playlist": {"track": tracks}}))
    status, out, err = audiorec("recommend", "--history", "liked.jspf", "-k", 8, "--json")
    assert status == 0, err
    assert "2 tracks, 1 placed by listening, 1 by sound\n" in err
    assert {t % 2 for t in numbers(json.loads(out))} == {1}
    assert not {1, 25} & set(numbers(json.loads(out)))


def test_only_factors_of_als_take_in_a_history(two_tastes, audiorec):
    assert audiorec("factorize", "log.tsv", "--factors", 2, "--model", "bpr")[0] == 0
    predicted = files.load_predictions("predictions.h5")
    params = {"factors": files.load_factors("factors.h5").fingerprint}
    files.save_predictions("predictions.h5", replace(predicted, params=params))
    (two_tastes / "mine.csv").write_text("track_id\nfolder/1\n")
    status, out, err = audiorec("recommend", "--history", "mine.csv")
    assert (status, out) == (1, "")
    assert "--history takes factors of the model als, and these are of the model bpr" in err
    for row in listed(audiorec, "u4", "-k", 3):
        assert int(row["because"].removeprefix("folder/")) in played_by(4)


def test_a_history_of_several_asks_whose(two_tastes, audiorec):
    status, out, err = audiorec("recommend", "--history", "log.tsv")
    assert (status, out) == (1, "")
    assert "log.tsv has 30 listeners, such as u0, u1, u10: name one of them" in err
    assert len(numbers(listed(audiorec, "u4", "--history", "log.tsv", "-k", 5))) == 5
    status, _, err = audiorec("recommend", "nobody", "--history", "log.tsv")
    assert status == 1
    assert 'log.tsv has no listener "nobody"' in err


def test_a_history_that_shares_nothing_with_the_log_is_one_line(two_tastes, audiorec):
    (two_tastes / "other.csv").write_text("artist,title\nX,Y\nX,Z\n")
    status, out, err = audiorec("recommend", "--history", "other.csv")
    assert (status, out) == (1, "")
    assert "other.csv: 2 tracks, such as X - Y, and none that the factors were fitted to" in err
    assert err.endswith(": give a history with tracks of either\n")


@pytest.mark.parametrize(
    ("header", "lacking"), [("combo,song", "artist"), ("artist,tune", "title")]
)
def test_a_history_whose_columns_are_half_known_is_told_which_it_lacks(
    two_tastes, audiorec, header, lacking
):
    (two_tastes / "mine.csv").write_text(f"{header}\nartist 0,title 2\nartist 0,title 4\n")
    status, out, err = audiorec("recommend", "--history", "mine.csv")
    assert (status, out) == (1, "")
    assert f"call its column with the {lacking}s {lacking}" in err.splitlines()[-1]


def test_a_history_reaches_the_log_through_the_library(two_tastes, audiorec):
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
    (two_tastes / "ids.csv").write_text("track_id\nfolder/2\nfolder/4\n")
    names = "".join(f"{of_library.artist[i]},{of_library.title[i]}\n" for i in
                    map(of_library.track_id.index, ("folder/2", "folder/4")))  # fmt: skip
    (two_tastes / "names.csv").write_text("artist,title\n" + names)
    lists = [listed(audiorec, "--history", name, "-k", 5) for name in ("ids.csv", "names.csv")]
    assert lists[0] == lists[1]
    assert "2 tracks, 2 placed by listening\n" in audiorec("recommend", "--history", "ids.csv")[2]


def test_a_history_counts_tracks_of_the_library_alone_beside_those_of_the_log(two_tastes, audiorec):
    (two_tastes / "one.csv").write_text("track_id\nfolder/2\n")
    unplayed = "".join(f"folder/{t}\n" for t in (25, 27, 29))
    (two_tastes / "more.csv").write_text("track_id\nfolder/2\n" + unplayed)
    one, more = (listed(audiorec, "--history", name, "-k", 6) for name in ("one.csv", "more.csv"))
    assert {t % 2 for t in numbers(one)} == {0}
    assert {t % 2 for t in numbers(more)} == {1}
    assert {25, 27, 29}.isdisjoint(numbers(more))
    assert {row["because"] for row in more} <= {f"artist 1 - title {t}" for t in (25, 27, 29)}


def test_a_history_counts_what_was_held_out_of_the_fit_by_its_sound(two_tastes, audiorec):
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
    (two_tastes / "mine.csv").write_text("track_id\nfolder/3\nfolder/5\n")
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


def test_rows_of_one_song_are_all_known(two_tastes, audiorec):
    rows = "folder/2,title 2,artist 0\nother/2,title 2,artist 0\nfolder/25,title 25,artist 1\n"
    (two_tastes / "mine.csv").write_text("track_id,title,artist\n" + rows)
    _, _, err = audiorec("recommend", "--history", "mine.csv", "-k", 3)
    assert "3 tracks, 2 placed by listening, 1 by sound" in err
    assert "by neither" not in err


def test_plays_of_one_song_add_up_where_sound_places(two_tastes, audiorec):
    for name, rows in (
        ("twice", "folder/25,title 25,artist 1,3\nother,title 25,artist 1,6\n"),
        ("once", "folder/25,title 25,artist 1,9\n"),
    ):
        others = "folder/24,title 24,artist 0,9\n"
        (two_tastes / f"{name}.csv").write_text("track_id,title,artist,plays\n" + rows + others)
    lists = [listed(audiorec, "--history", name, "-k", 5) for name in ("twice.csv", "once.csv")]
    assert [row["score"] for row in lists[0]] == pytest.approx([row["score"] for row in lists[1]])


def test_a_layout_without_names_of_columns_is_not_told_to_rename_them(two_tastes, audiorec):
    (two_tastes / "mine.tsv").write_text("".join(f"{u}\tx\tsomebody\t5\n" for u in ("me", "me")))
    status, _, err = audiorec("recommend", "--history", "mine.tsv")
    assert status == 1
    assert err.splitlines()[-1].endswith(": give a history with tracks of either")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("factors.h5", "factors.h5 is an HDF5 file, and no listening log: name one"),
        ("empty.m3u8", "empty.m3u8 names no track: name another playlist"),
        (".", ". holds no listening log that is known: name another"),
        ("/dev/null", "/dev/null is no file: name a listening log"),
    ],
)
def test_a_history_that_is_none_is_one_line(two_tastes, audiorec, name, message):
    (two_tastes / "empty.m3u8").touch()
    (two_tastes / "log.tsv").unlink()
    status, out, err = audiorec("recommend", "--history", name)
    assert (status, out) == (1, "")
    assert err.splitlines()[-1] == f"error: {message}"


def test_a_history_of_one_listener_needs_no_name(two_tastes, audiorec):
    (two_tastes / "mine.csv").write_text("track_id\nfolder/2\nfolder/4\n")
    status, out, err = audiorec("recommend", "ann", "--history", "mine.csv")
    assert (status, out) == (1, "")
    assert "mine.csv is the history of one listener: leave out USER" in err
    (two_tastes / "bob.csv").write_text("user_id,track_id\nbob,folder/2\nbob,folder/4\n")
    _, _, err = audiorec("recommend", "ann", "--history", "bob.csv")
    assert 'bob.csv has no listener "ann" (it has bob): check the name' in err
    (two_tastes / "named.csv").write_text(
        "user_id,track_id\nlistener,folder/2\nlistener,folder/4\n"
    )
    assert audiorec("recommend", "listener", "--history", "named.csv")[0] == 0


def test_a_history_of_new_tracks_alone_is_placed_by_their_sound(two_tastes, audiorec):
    (two_tastes / "new.csv").write_text("track_id,plays\nfolder/25,9\nfolder/27,1\n")
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
def test_a_log_without_columns_is_told_what_to_call_them(here, audiorec, two_tastes, mels_file,
                                                         command, log):  # fmt: skip
    mels_file("mels.h5")
    (here / "mine.csv").write_text(log)
    status, out, err = audiorec(*command, "mine.csv")
    assert (status, out) == (1, "")
    assert "call its columns user_id, track_id" in err.splitlines()[-1]
    assert "--track-column" not in err and "--group-by" not in err


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


def test_a_history_names_what_the_log_does_not_know(two_tastes, audiorec):
    (two_tastes / "mine.csv").write_text("track_id\nfolder/2\nfolder/4\nfolder/25\nmisspelt\n")
    _, _, err = audiorec("recommend", "--history", "mine.csv", "-k", 3)
    told = "2 placed by listening, 1 by sound, 1 by neither: misspelt"
    assert f"mine.csv: 4 tracks, {told}\n" in err
    (two_tastes / "known.csv").write_text("track_id\nfolder/2\nfolder/4\n")
    _, _, err = audiorec("recommend", "--history", "known.csv", "-k", 3)
    assert "known.csv: 2 tracks, 2 placed by listening\n" in err


def test_a_history_in_a_space_of_its_own_where_the_fit_met_nothing(two_tastes, audiorec):
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
    (two_tastes / "mine.csv").write_text("track_id\nfolder/25\nfolder/27\n")
    table = listed(audiorec, "--history", "mine.csv", "-k", 3)
    assert set(numbers(table)) == {1, 29, 31}
