"""Thumbs are read, paired, kept apart from what is tested, and drawn in batches."""

import numpy as np
import pytest
import torch

from audiorec_cli.convnet import thumbs as pairing
from audiorec_cli.convnet import tuning
from audiorec_cli.convnet.settings import TuningSettings
from audiorec_cli.convnet.thumbs import STATION, Thumbs
from audiorec_cli.errors import AudiorecError
from audiorec_cli.listening.thumbs import Thumb, read_thumbs

TWO = [Thumb("a, b", "x", True), Thumb("c", "y", False)]


def thumbs(*rows, seed_track):
    """Thumbs of (seed, track, whether it is up)."""
    seed, track, is_up = (np.array(column) for column in zip(*rows, strict=True))
    return Thumbs(seed, track, is_up, np.array(seed_track))


@pytest.mark.parametrize(
    "text",
    [
        'seed,track,thumb\n"a, b",x,1\nc,y,-1\n',
        "seed\ttrack\tthumb\na, b\tx\tup\nc\ty\tdown\n",
        'Rating;User ID;Track ID;noted\n1;"a, b";x;today\n0;c;y;\n',
        '"a, b",x,+1\n\nc,y,-1\n',
        '\ufeffstation,song,liked\n"a, b", x ,TRUE\nc,y,false',
    ],
)
def test_layouts_that_say_the_same_are_read_alike(tmp_path, text):
    (tmp_path / "thumbs").write_text(text, encoding="utf-8")
    reading = read_thumbs(tmp_path / "thumbs")
    assert reading.thumbs == TWO
    assert reading.broken_rows == reading.neutral_rows == 0


def test_zero_is_down_unless_minus_one_is(tmp_path):
    (tmp_path / "thumbs").write_text("s,a,1\ns,b,0\n")
    assert [thumb.is_up for thumb in read_thumbs(tmp_path / "thumbs").thumbs] == [True, False]
    (tmp_path / "thumbs").write_text("s,a,1\ns,b,0\ns,c,-1\n")
    reading = read_thumbs(tmp_path / "thumbs")
    assert [thumb.track for thumb in reading.thumbs] == ["a", "c"]
    assert reading.neutral_rows == 1


def test_broken_rows_are_counted_and_too_many_are_an_error(tmp_path):
    good = "".join(f's,"two\nlines {i}",up\n' for i in range(99))
    (tmp_path / "thumbs").write_text(f"seed,track,thumb\n{good}s,x\n")
    reading = read_thumbs(tmp_path / "thumbs")
    assert len(reading.thumbs) == 99
    assert reading.broken_shown == ['line 200: "" is no thumb']
    (tmp_path / "thumbs").write_text(f"{good},x,up\ns,,up\ns,x,5\ns,x,4\n")
    message = (
        "has broken rows, 4 of 103 .line 199: no seed; line 200: no track; line 201: .5. is no"
    )
    with pytest.raises(AudiorecError, match=message):
        read_thumbs(tmp_path / "thumbs")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no thumbs"),
        ("seed,track,thumb\n", "holds no thumbs"),
        ("name,track,thumb\na,b,1\n", "no column for the seed in its first line, name, track"),
        ("a,b\n", "no column for the seed"),
    ],
)
def test_what_holds_no_thumbs_is_one_line(tmp_path, text, message):
    (tmp_path / "thumbs").write_text(text)
    with pytest.raises(AudiorecError, match=message):
        read_thumbs(tmp_path / "thumbs")


def test_what_most_say_counts():
    rows = np.array([(0, 5, 1), (0, 5, 1), (0, 5, 0), (0, 6, 1), (0, 6, 0), (0, 9, 1), (1, 5, 0)])
    seed, track, is_up = rows[::-1].T
    counted = pairing.thumbs_by_majority(seed, track, is_up == 1, np.array([9, STATION]))
    # track 6 has one of each, and 9 is the seed itself
    assert counted.seed.tolist() == [0, 1]
    assert counted.track.tolist() == [5, 5]
    assert counted.is_up.tolist() == [True, False]


def test_pairs_are_of_the_same_seed_and_of_an_up_and_a_down():
    rng = np.random.default_rng(0)
    some = Thumbs(np.sort(rng.integers(6, size=40)), np.arange(40), rng.random(40) < 0.5, None)
    pairs = {
        (up, down)
        for up in range(40)
        for down in range(40)
        if some.seed[up] == some.seed[down] and some.is_up[up] and not some.is_up[down]
    }
    ups, downs = pairing.pairs_of(some)
    assert sorted(pairs) == sorted(zip(ups.tolist(), downs.tolist(), strict=True))


def test_share_in_order_is_a_mean_over_seeds():
    some = thumbs(
        (0, 1, True), (0, 2, False), (0, 3, False), (1, 4, True), (1, 5, False), (2, 6, True),
        seed_track=[STATION] * 3,
    )  # fmt: skip
    # of seed 0 a half is in order, of seed 1 two are equal, and seed 2 has no pair
    assert pairing.share_in_order(some, np.array([2.0, 1, 3, 1, 1, 0])) == 0.5
    assert pairing.share_in_order(some, np.array([2.0, 1, 1, 1, 1, 0])) == 0.75
    assert np.isnan(pairing.share_in_order(some.take(slice(1)), np.array([1.0])))


def test_nothing_is_learned_of_test_tracks_their_artists_and_what_is_held_out():
    rng = np.random.default_rng(0)
    artists = np.arange(60) // 3
    split = {"train": np.arange(24), "validation": np.array([24]), "test": np.arange(45, 53)}
    rows = sorted({(int(s), int(t)) for s, t in rng.integers((12, 60), size=(600, 2))})
    seed, track = np.array(rows).T
    seed_track = np.array([0, 20, 30, 40, 50, 53, *[STATION] * 6])
    every = Thumbs(seed, track, rng.random(len(seed)) < 0.5, seed_track)
    parts = pairing.divide(every, artists.astype(str), split, share=0.2, seed=0)
    of = {name: set(artists[part.track]) for name, part in parts._asdict().items()}
    assert of["train"].isdisjoint(of["held_out"])
    # tracks 45 to 52 are tested; 53 is by an artist of theirs
    assert set(parts.test.track) == set(range(45, 53))
    assert {4, 5}.isdisjoint(parts.train.seed)
    assert {15, 16, 17}.isdisjoint(of["train"] | of["held_out"])
    # the network was trained on tracks 0 to 23
    assert parts.held_out.track.min() >= 24
    seeds_held = seed_track[np.unique(parts.train.seed)]
    assert of["held_out"].isdisjoint(artists[seeds_held[seeds_held != STATION]])
    n_fresh = len(np.unique(parts.train.track[parts.train.track >= 24]))
    assert 0.1 < len(np.unique(parts.held_out.track)) / n_fresh < 0.5


def test_a_group_that_training_did_not_keep_apart_breaks_no_other_up():
    groups = np.repeat(list("abcdef"), 2)
    split = {"train": np.array([0]), "validation": np.array([], int), "test": np.array([1, 2])}
    rows = [(0, track, track % 2 == 0) for track in range(12)]
    every = thumbs(*rows, *((1, *row[1:]) for row in rows), seed_track=[STATION, STATION])
    parts = pairing.divide(every, groups, split, share=0.3, seed=0)
    assert set(parts.test.track) == {1, 2}
    # of the group a each track is its own; 3 is by the artist of test track 2
    assert 3 not in parts.train.track
    assert 0 in parts.train.track
    held = set(groups[parts.held_out.track])
    assert held
    assert held.isdisjoint(groups[parts.train.track])


def test_with_no_pair_to_spare_nothing_is_held_out():
    few = thumbs((0, 0, True), (0, 1, False), seed_track=[2])
    none = {part: np.array([], dtype=int) for part in ("train", "validation", "test")}
    parts = pairing.divide(few, list("abc"), none, share=0.2, seed=0)
    assert [len(part) for part in parts] == [2, 0, 0]


def test_a_pair_and_the_pair_flipped_add_up_whatever_the_margin():
    margins = torch.linspace(-9, 9, 50)
    assert torch.allclose(tuning.loss_of(margins) + tuning.loss_of(-margins), torch.ones(50))
    assert (tuning.loss_of(margins).diff() < 0).all()


def test_every_batch_holds_pairs_and_no_track_twice():
    rng = np.random.default_rng(0)
    rows = sorted({(int(s), int(t)) for s, t in rng.integers((40, 500), size=(400, 2))})
    seed, track = np.array(rows).T
    some = Thumbs(seed, track, rng.random(len(seed)) < 0.3, np.full(40, STATION))
    track_of = np.sort(np.concatenate([np.arange(500), np.arange(100)]))
    sampler = tuning.SeedSampler(some, track_of, TuningSettings(batch_size=20, seed=3))
    assert list(sampler) == [(tuning.PREDICTING, row) for row in range(600)]
    sampler.epoch = 2
    keys = list(sampler)
    taught = some.take(np.isin(some.seed, pairing.teaching_seeds(some)))
    assert len(keys) == sampler.n_updates * 20 >= len(np.unique(taught.track)) > 200
    assert keys == list(sampler)
    for first in range(0, len(keys), 20):
        batch = track_of[[excerpt for _, excerpt in keys[first : first + 20]]]
        assert len(set(batch)) == 20
        assert len(pairing.pairs_of(some.take(np.isin(track, batch)))[0]) > 0
    sampler.epoch = 3
    assert keys != list(sampler)
