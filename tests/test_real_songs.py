"""The chain on real songs and real listeners, where the in-house set is present."""

import json

from audiorec_cli import files

ARTISTS = ("Lady Gaga", "Queen", "Madonna", "Adele", "Blur", "Foreigner", "Disturbed", "Rihanna")


def assert_artists_that_share_listeners_are_near(factors):
    names, vectors = factors.log.tracks.artist, factors.track_factors

    def cosine(one, other):
        return vectors[names.index(one)] @ vectors[names.index(other)]

    assert cosine("Metallica", "Megadeth") > cosine("Metallica", "Lady Gaga") + 0.2
    assert cosine("Lady Gaga", "Rihanna") > cosine("Lady Gaga", "Megadeth") + 0.2


def test_the_chain_runs_on_real_songs(here, audiorec, real_songs):
    (here / "audio").mkdir()
    for artist in ARTISTS:
        (here / "audio" / artist).symlink_to(real_songs / "audio" / artist)
    assert audiorec("mels", "audio")[0] == 0
    mels = files.load_mels("mels.h5")
    assert {*mels.tracks.artist} == {*ARTISTS}
    assert mels.failures == []
    status, _, err = audiorec("factorize", real_songs / "listens.tsv")
    assert status == 0
    assert "artists are taken as the items" in err
    factors = files.load_factors("factors.h5")
    assert len(factors.log.user_id) == 1892
    assert_artists_that_share_listeners_are_near(factors)
    status, _, err = audiorec("train", "--epochs", 1)
    assert status == 1
    assert "if the log lists artists, use --match artist" in err
    assert audiorec("train", "--match", "artist", "--epochs", 1, "--device", "cpu")[0] == 0
    status, out, _ = audiorec("similar", "Poker Face", "-k", 5, "--json")
    assert status == 0
    assert json.loads(out)[0]["title"] == "Poker Face"
    assert audiorec("top-activations", "--layer", "conv1", "-k", 3)[0] == 0
