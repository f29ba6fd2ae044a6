"""The contrastive objectives are their formulas, and pairs are drawn as the log says."""

import math

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix

from audiorec_cli.convnet.contrast import DrLIM, InfoNCE, nearer
from audiorec_cli.convnet.examples import Examples
from audiorec_cli.convnet.objectives import loss_of_constant
from audiorec_cli.convnet.pairs import PairSampler, Partners, SharedListeners
from audiorec_cli.convnet.settings import TrainingSettings


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
