"""train --objective contrastive: what the same listeners play lies together, from the log alone."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix

from audiorec_cli import files
from audiorec_cli.commands.own_space import OWN_SPACE, factors_in_space_of
from audiorec_cli.convnet.contrast import DrLIM, InfoNCE, nearer
from audiorec_cli.convnet.examples import Examples
from audiorec_cli.convnet.objectives import loss_of_constant
from audiorec_cli.convnet.pairs import PairSampler, Partners, SharedListeners
from audiorec_cli.convnet.settings import TrainingSettings
from audiorec_cli.convnet.training import Trainer
from audiorec_cli.records import Factors

N, N_USERS = 31, 40
KIND = np.arange(N) // 2 % 2  # of a track: low or high
SMALL = (
    "--batch-size",
    12,
    "--n-factors",
    4,
    "--lr",
    0.02,
    "--descriptors",
    "none",
    "--dropout",
    0,
)
SHORT = (*SMALL, "--device", "cpu")
CONTRAST = ("train", "--objective", "contrastive", *SHORT, "--epochs", 16)


@pytest.fixture
def world(here, mels_file, quick_training):
    """Tracks that are low or high, and log.tsv, whose listeners play the ones or the others."""
    rng = np.random.default_rng(0)
    mels = rng.random((N, 128, 599)) * 4
    for track in range(N):
        mels[track, 64 * KIND[track] : 64 * KIND[track] + 64] += 1
    mels_file("mels.h5", mels=mels)
    plays = (rng.random((N_USERS, N)) < 0.5) & (np.arange(N_USERS)[:, None] % 2 == KIND)
    write_log(plays)
    return plays


def write_log(plays):
    rows = [f"u{user}\tfolder/{track}\t3\n" for user, track in np.argwhere(plays)]
    with open("log.tsv", "w") as file:
        file.write("user_id\ttrack_id\tplays\n" + "".join(rows))


def weights(path="model.h5"):
    return files.load_checkpoint(path).latest_weights


def same(one, other):
    return set(one) == set(other) and all(np.array_equal(one[n], other[n]) for n in one)


@pytest.mark.parametrize("contrast", ["infonce", "drlim"])
def test_what_the_same_listeners_play_lies_together_without_any_factors(world, audiorec, contrast):
    status, _, err = audiorec(*CONTRAST, "--contrast", contrast, "--log", "log.tsv")
    assert status == 0, err
    assert "one place for all tracks has" in err.splitlines()[-1]
    assert "no better" not in err
    checkpoint = files.load_checkpoint("model.h5")
    assert checkpoint.settings["factors"] == OWN_SPACE
    # half of the tracks are partners, and which is nearer of these nobody can tell
    assert checkpoint.history["validation_loss"][-1] < 0.35
    assert audiorec("predict", "--device", "cpu")[0] == 0
    predicted = files.load_predictions("predictions.h5")
    assert predicted.predicted_factors.shape == (N, 4)
    cosines = predicted.predicted_factors @ predicted.predicted_factors.T
    is_alike = KIND[:, None] == KIND
    # those to test on too, which training never met
    assert (
        np.where(is_alike, cosines, 1).min(axis=1) > np.where(is_alike, -1, cosines).max()
    ).all()


def test_what_predictions_are_for_works_in_a_space_of_their_own(world, audiorec):
    audiorec("factorize", "log.tsv", "--factors", 4)
    assert audiorec(*CONTRAST)[0] == 0
    audiorec("predict", "--device", "cpu")
    status, out, err = audiorec("evaluate", "--no-baselines", "--json")
    assert status == 0, err
    assert "predictions.h5 lies in a space of its own" in err
    auc = {model["model"]: model["auc"]["mean"] for model in json.loads(out)["models"]}
    # of tracks of the same kind nobody can tell which a listener played
    assert auc["network"] > 0.75 > auc["random"]
    status, out, _ = audiorec("similar", "title 1", "-k", 5, "--json")
    assert status == 0
    assert all(KIND[int(row["title"].split()[1])] == KIND[1] for row in json.loads(out))
    status, out, err = audiorec("similar", "title 1", "--by", "usage")
    assert (status, out) == (1, "")
    assert "predictions.h5 holds predictions in a space of their own" in err.splitlines()[-1]
    assert audiorec("map", "--out", "map.png")[0] == 0
    assert audiorec("top-activations", "--layer", "conv1", "--device", "cpu")[0] == 0


def test_folds_rank_it_beside_other_objectives(world, audiorec):
    audiorec("factorize", "log.tsv", "--factors", 4)
    contrastive = " ".join(map(str, ("--objective", "contrastive", "--epochs", 24, *SMALL)))
    recipes = [contrastive, "--epochs 1 --descriptors none"]
    status, out, err = audiorec(
        "evaluate", "--folds", 2, "--no-baselines", "--json", "--device", "cpu",
        *(argument for recipe in recipes for argument in ("--train", recipe)),
    )  # fmt: skip
    assert status == 0, err
    auc = {model["model"]: model["auc"]["mean"] for model in json.loads(out)["models"]}
    assert set(recipes) < set(auc)
    assert auc[recipes[0]] > 0.75


def test_nothing_is_learned_from_plays_of_test_tracks(world, audiorec):
    longer = (*CONTRAST[:-1], 2, "--log", "log.tsv")
    assert audiorec(*longer)[0] == 0
    learned, split = weights(), files.load_checkpoint("model.h5").split
    tested = [int(track_id.split("/")[1]) for track_id in split["test"]]
    changed = world.copy()
    changed[:, tested] = ~changed[:, tested]
    write_log(changed)
    assert audiorec(*longer)[0] == 0
    assert files.load_checkpoint("model.h5").split == split
    assert same(weights(), learned)
    trained = int(split["train"][0].split("/")[1])
    changed[:, trained] = ~changed[:, trained]
    write_log(changed)
    assert audiorec(*longer)[0] == 0
    assert not same(weights(), learned)


def test_tracks_that_factors_mark_as_tested_are_not_learned_from(world, audiorec):
    audiorec("factorize", "log.tsv", "--factors", 4)
    factors = files.load_factors("factors.h5")
    is_test = np.array([track_id.endswith("1") for track_id in factors.log.tracks.track_id])
    files.save_factors("factors.h5", replace(factors, is_test=is_test))
    assert audiorec(*CONTRAST[:-1], 1)[0] == 0
    split = files.load_checkpoint("model.h5").split
    assert sorted(split["test"]) == [f"folder/{i}" for i in (1, 11, 21)]


def test_after_ctrl_c_it_goes_on_as_if_nothing_had_been(world, audiorec, monkeypatch):
    longer = (*CONTRAST, "--descriptors", "all", "--log", "log.tsv", "--epochs", 3)
    assert audiorec(*longer, "--out", "whole.h5")[0] == 0
    assert audiorec(*longer, "--out", "again.h5")[0] == 0
    assert same(weights("whole.h5"), weights("again.h5"))
    assert audiorec(*longer, "--out", "other.h5", "--seed", 1)[0] == 0
    assert not same(weights("whole.h5"), weights("other.h5"))
    run_epoch = Trainer.run_epoch

    def interrupted(trainer, **options):
        if trainer.epochs_done == 1:
            raise KeyboardInterrupt
        run_epoch(trainer, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "run_epoch", interrupted)
        assert audiorec(*longer, "--out", "cut.h5")[0] == 130
    assert audiorec(*longer, "--out", "cut.h5", "--resume", "--temperature", 0.5)[0] == 1
    status, _, err = audiorec(*longer, "--out", "cut.h5", "--resume", "--n-factors", 5)
    assert status == 1
    assert "cut.h5 was trained with n_factors 4, not 5" in err
    assert audiorec(*longer, "--out", "cut.h5", "--resume")[0] == 0
    assert same(weights("whole.h5"), weights("cut.h5"))
    write_log(world[::-1, ::-1])
    status, _, err = audiorec(*longer[:-1], 4, "--out", "cut.h5", "--resume")
    assert status == 1
    assert "others than cut.h5 was trained on" in err


def test_songs_of_an_artist_share_the_plays_of_the_artist(here, audiorec, mels_file, tracks):
    names = [f"artist {row % 10}" for row in range(N)]
    mels_file("mels.h5", tracks=replace(tracks(N), artist=names), n=N)
    rows = [f"u{u}\tartist {a}\t2\n" for u in range(6) for a in range(u % 2, 10, 2)]
    (here / "log.tsv").write_text("user_id\tartist\tplays\n" + "".join(rows))
    artist = ("--match", "artist", "--epochs", 1, "--log", "log.tsv")
    status, _, err = audiorec("train", "--objective", "contrastive", *SHORT, *artist)
    assert status == 0, err
    assert f"{N} of {N} tracks are in the log: {N} by artist" in err
    split = files.load_checkpoint("model.h5").split
    artists = {part: {int(name.split("/")[1]) % 10 for name in split[part]} for part in split}
    assert artists["train"].isdisjoint(artists["validation"])
    assert len(split["train"]) > len(artists["train"])


def test_a_log_without_shared_listeners_is_one_line(world, audiorec):
    write_log(np.eye(N, dtype=bool))
    status, out, err = audiorec(*CONTRAST, "--log", "log.tsv")
    assert (status, out) == (1, "")
    assert "error: no listener of the log plays two of the 27 tracks to train on" in err
    write_log(np.ones((1, N), dtype=bool))
    status, out, err = audiorec(*CONTRAST, "--log", "log.tsv")
    assert (status, out) == (1, "")
    assert "share as many listeners, so nothing tells which belong together" in err
    plays = world.copy()
    # whoever plays it, plays nothing else
    plays[:, 7] = np.arange(N_USERS) == 0
    plays[0] = np.arange(N) == 7
    write_log(plays)
    status, _, err = audiorec(*CONTRAST[:-1], 1, "--log", "log.tsv", "--seed", 3)
    split = files.load_checkpoint("model.h5").split
    assert status == 0
    assert "folder/7" not in {track_id for part in split.values() for track_id in part}
    assert "1 tracks are without a listener who plays another track to train on" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--objective", "contrastive"), "no factors file in this folder whose log could be taken"),
        (("--log", "log.tsv"), "--log goes with --objective contrastive"),
        (
            ("--objective", "contrastive", "--log", "log.tsv", "--factors", "f.h5"),
            "--log and --factors both name a log to learn from",
        ),
        (("--n-factors", 3), "--n-factors goes with --objective contrastive: leave it out"),
        (("--contrast", "drlim"), "--contrast goes with --objective contrastive: leave it out"),
        (
            ("--objective", "contrastive", "--margin", 1),
            "--margin goes with --contrast drlim: leave it out",
        ),
        (
            ("--objective", "contrastive", "--contrast", "drlim", "--temperature", 1),
            "--temperature goes with --contrast infonce: leave it out",
        ),
        (
            ("--objective", "contrastive", "--batch-size", 7),
            "--objective contrastive takes excerpts by pairs",
        ),
        (("--objective", "contrastive", "--log", "no.tsv"), "no.tsv: no such file"),
    ],
)
def test_what_does_not_go_together_is_one_line(world, audiorec, arguments, message):
    status, out, err = audiorec("train", *arguments)
    assert (status, out) == (1, "")
    assert message in err.splitlines()[-1]


def shared_of(plays, train=None, others=()):
    plays = csr_matrix(np.asarray(plays, dtype=np.float32))
    return SharedListeners(plays, np.arange(plays.shape[1]) if train is None else train, others)


def test_listeners_of_everything_bind_less_and_what_everybody_plays_is_no_nearer():
    shared = shared_of([[1, 1, 0, 0], [1, 1, 1, 1], [0, 0, 1, 1]])
    strengths = shared.strengths(np.arange(4), np.arange(4))
    # 1/2 by the listener of two, 1/4 by that of four; each track is bound by 1/2 + 3/4 in all
    scale = np.sqrt(1 / 2 + 3 / 4)
    assert strengths[0, 1] == pytest.approx((1 / 2 + 1 / 4) / scale)
    assert strengths[0, 2] == pytest.approx(1 / 4 / scale)
    plays = np.zeros((40, 4))
    plays[:10, [0, 1]] = plays[10:20, [0, 2]] = 1
    plays[20:, [1, 3]] = 1
    heard_more, heard_less = shared_of(plays).strengths(np.array([0]), np.array([1, 2]))[0]
    assert heard_more < heard_less


def test_partners_are_drawn_by_their_strength_among_training_tracks():
    plays = np.random.default_rng(0).random((30, 6)) < 0.4
    shared = shared_of(plays, train=np.array([0, 1, 2, 4, 4]), others=np.array([5]))
    assert shared.rows.tolist() == [0, 1, 2, 4, 5]
    assert shared.has_partner.all()
    strengths = shared.strengths(np.arange(5), np.arange(4))
    np.fill_diagonal(strengths, 0)
    places = np.repeat(np.arange(5), 20_000)
    drawn = shared.partners(places, np.random.default_rng(0)).reshape(5, -1)
    shares = np.array([np.bincount(row, minlength=5) / len(drawn.T) for row in drawn])
    np.testing.assert_allclose(
        shares[:, :4], strengths / strengths.sum(axis=1)[:, None], atol=0.015
    )
    assert not shares[:, 4].any()


def test_a_track_that_shares_no_listener_has_no_partner():
    shared = shared_of([[1, 1, 0, 0], [0, 0, 1, 0]], train=np.arange(3), others=np.array([3]))
    assert shared.has_partner.tolist() == [True, True, False, False]


def test_epochs_pair_every_excerpt_as_often_by_seed_and_epoch_alone():
    tracks = np.array([0, 0, 1, 2, 2])
    shared = shared_of([[1, 1, 0], [1, 0, 1], [0, 1, 1]])
    sampler = PairSampler(Partners(shared, tracks), 6, seed=3)

    def keys(epoch):
        sampler.epoch = epoch
        return list(sampler)

    epochs = [keys(epoch) for epoch in range(5)]
    assert keys(2) == epochs[2]
    anchors = [key[1] for epoch in epochs for key in epoch[::2]]
    assert np.bincount(anchors).tolist() == [3] * 5
    for number, epoch in enumerate(epochs):
        assert len(epoch) == len(sampler) == 6
        assert [key[0] for key in epoch] == [number] * 6
        assert [key[2:] for key in epoch] == [(), (1,), (), (2,), (), (3,)]
        pairs = [(tracks[key[1]] for key in epoch[start::2]) for start in (0, 1)]
        assert all(one != other for one, other in zip(*pairs, strict=True))
    sampler = PairSampler(Partners(shared, tracks), 6, seed=4)
    assert [keys(epoch) for epoch in range(5)] != epochs


# two pairs of tracks, each with a listener of its own, and a third track of the first pair's
PLAYS = [[1, 1, 0, 0, 1], [0, 0, 1, 1, 0]]
ALL = np.arange(5)


def objective_of(kind, plays=PLAYS, train=ALL, validation=ALL, **options):
    rows = {"train": np.array(train), "validation": np.array(validation)}
    shared = shared_of(plays, *rows.values())
    return kind(shared, Examples(rows, rows, {}, {}, ""), **options)


def at(*degrees):
    angles = torch.deg2rad(torch.tensor(degrees, dtype=torch.float32))
    return torch.stack([angles.cos(), angles.sin()], dim=1)


def test_infonce_is_nothing_where_pairs_are_told_apart_and_log_n_where_all_are_alike():
    objective = objective_of(InfoNCE, temperature=0.05)
    pairs = torch.arange(4)
    assert objective(3 * at(10, 10, 190, 190), pairs).figure.item() == pytest.approx(0, abs=1e-6)
    # one partner among three others
    assert objective(at(10, 10, 10, 10), pairs).figure.item() == pytest.approx(math.log(3))
    assert objective(at(10, 190, 10, 190), pairs).figure.item() > 10
    similarities = np.exp(np.cos(np.deg2rad([30, 100, 150])) / 0.05)
    by_hand = -np.log(similarities[0] / similarities.sum())
    objective._temperature = 0.05
    cosines = torch.tensor([[1.0, *np.cos(np.deg2rad([30, 100, 150]))]])
    shares, left_out = torch.tensor([[0.0, 1, 0, 0]]), torch.tensor([[True, False, False, False]])
    assert objective.compare(cosines, shares, left_out).item() == pytest.approx(by_hand, abs=1e-6)


def test_of_several_partners_each_counts_by_its_share():
    objective = objective_of(InfoNCE, temperature=0.5)
    shares = torch.tensor([[0.25, 0.75, 0.0]])
    nothing = torch.zeros(1, 3, dtype=torch.bool)
    best = torch.tensor([[math.log(0.25), math.log(0.75), -1e4]]) * 0.5
    assert objective.compare(best, shares, nothing).item() == pytest.approx(0, abs=1e-6)
    even = objective.compare(torch.zeros(1, 3), shares, nothing).item()
    assert even == pytest.approx(math.log(3) + 0.25 * math.log(0.25) + 0.75 * math.log(0.75))


def test_drlim_is_its_formula():
    objective = objective_of(DrLIM, margin=1.2)
    places = torch.arange(4)
    outputs = torch.nn.functional.normalize(torch.randn(4, 3), dim=1)
    distance = torch.cdist(outputs, outputs).double().numpy()
    by_hand = 0.0
    for one, partner in ((0, 1), (1, 0), (2, 3), (3, 2)):
        others = [other for other in range(4) if other not in (one, partner)]
        alike = distance[one, partner] ** 2 / 2
        unlike = np.mean([max(0, 1.2 - distance[one, other]) ** 2 / 2 for other in others])
        by_hand += (alike + unlike) / 4
    assert objective(2 * outputs, places).figure.item() == pytest.approx(by_hand, rel=1e-4)
    assert objective(at(0, 0, 90, 90), places).figure.item() == pytest.approx(0, abs=1e-3)


def test_drlim_draws_all_partners_together_however_many_share_a_place():
    camps = np.eye(2).repeat(3, axis=1)  # three tracks of each listener
    every = np.arange(6)
    objective = objective_of(DrLIM, camps, every, every, margin=1.2)
    places = torch.arange(6)
    together = objective(at(0, 0, 0, 180, 180, 180), places).figure.item()
    assert together == pytest.approx(0, abs=1e-3)
    assert objective(at(0, 10, 20, 180, 190, 200), places).figure.item() > together + 0.005


@pytest.mark.parametrize("kind", [InfoNCE, DrLIM])
def test_a_batch_of_the_same_places_has_a_gradient_that_is_a_number(kind):
    option = {"temperature": 0.1} if kind is InfoNCE else {"margin": 1.0}
    objective = objective_of(kind, **option)
    for places in (torch.tensor([0, 1, 0, 4]), torch.tensor([0, 1])):
        outputs = torch.ones(len(places), 3, requires_grad=True)
        loss = objective(outputs, places)
        loss.minimised.backward()
        assert math.isfinite(loss.figure.item())
        assert torch.isfinite(outputs.grad).all()


def test_songs_that_share_a_row_are_neither_partners_nor_told_apart():
    objective = objective_of(InfoNCE, train=np.array([0, 0, 1, 2, 3]), temperature=0.1)
    # two songs of the first artist, on top of each other and far from each other
    places = torch.tensor([0, 0, 1, 2, 3])
    together = objective(at(0, 0, 0, 180, 180), places).figure.item()
    assert together == pytest.approx(0, abs=1e-6)
    shares = objective._shared.strengths(np.array([0, 0]), np.array([0, 0, 1]))
    assert shares[0, 2] > 0


def test_heads_are_judged_by_what_they_predict_together():
    objective = objective_of(InfoNCE, temperature=0.1)
    places = torch.arange(4)
    heads = torch.stack([at(10, 50, 170, 210), at(50, 10, 210, 170)])
    together = objective.of_heads(heads.flatten(0, 1), places, 2).figure
    torch.testing.assert_close(together, objective(heads.mean(dim=0), places).figure)
    assert together.item() == pytest.approx(0, abs=1e-6)


def test_validation_compares_with_training_tracks_and_one_place_for_all_is_judged_alike():
    plays = np.kron(np.eye(2), np.ones((3, 20)))
    train, validation = np.arange(2, 40), np.array([0, 1])
    objective = objective_of(InfoNCE, plays, train, validation, temperature=0.1)
    examples = Examples(
        {"train": 100 + train, "validation": 100 + validation},
        {"train": train, "validation": validation},
        {part: np.zeros((n, 0), np.float32) for part, n in (("train", 38), ("validation", 2))},
        {},
        "",
    )
    excerpts, targets = objective.validated(examples)
    assert excerpts.tolist() == [100, 101, *range(102, 140)]
    outputs = at(*(0 if row < 20 else 180 for row in range(40)))
    batches = list(zip(outputs.split(7), torch.from_numpy(targets).split(7), strict=True))
    # as near as each of its 18 partners are 17 others of 37
    assert objective.figure(batches) == pytest.approx(17 / 2 / 37)
    assert loss_of_constant(objective, examples, normalised=False) == pytest.approx(1 / 2)


def test_what_is_told_of_validation_is_how_many_lie_nearer_than_a_partner():
    cosines = torch.tensor([[0.9, 0.5, 0.7, 0.5, 0.99]]).expand(3, -1)
    shares = torch.zeros(3, 5)
    shares[0, 0] = shares[1, 1] = 1
    shares[2, [0, 2]] = torch.tensor([0.25, 0.75])
    left_out = torch.tensor([False, False, False, False, True]).expand(3, -1)
    assert nearer(cosines, shares, left_out).tolist() == pytest.approx([0, 2.5 / 3, 0.75 / 3])


def test_epochs_are_whole_batches():
    objective = objective_of(InfoNCE, temperature=0.1)
    wanted = [(5, 64, 6), (64, 64, 64), (65, 64, 128), (480, 64, 512)]
    assert [objective.n_an_epoch(n, size) for n, size, _ in wanted] == [n for *_, n in wanted]
    sampler = objective.sampler(objective.targets(None)["train"], TrainingSettings(batch_size=4))
    assert len(sampler) == 8


def test_listeners_are_placed_by_what_they_played_of_the_tracks_that_count(log_of):
    predicted = np.eye(3, dtype=np.float32)[[0, 1, 1, 2]]
    log = log_of([[3, 0, 0], [0, 1, 0], [0, 0, 9], [1, 1, 0]])
    ones = np.ones(3, np.float32)
    elsewhere = Factors(log, ones[:, None], ones, np.ones((4, 1), np.float32), np.zeros(3, bool))
    placed = factors_in_space_of(predicted, np.array([0, 1, 1, -1]), elsewhere)
    np.testing.assert_array_equal(placed.track_factors, np.diag([1, 1, 0]))
    assert placed.is_held_out.tolist() == [False, False, True]
    listeners = placed.user_factors
    assert listeners.shape == (4, 3)
    assert listeners[0].argmax() == 0
    assert listeners[1].argmax() == 1
    assert np.count_nonzero(listeners[:2]) == 2
    assert not listeners[2].any()
    # two songs count as the one row that they share
    assert listeners[3, 0] == pytest.approx(listeners[3, 1], rel=0.1)
