"""Training learns, splits by artist, stops and goes on, and says when it cannot."""

import functools

import numpy as np
import pytest
import torch

from audiorec_cli import files
from audiorec_cli.convnet.loading import (
    Excerpts,
    Loader,
    closing_loaders,
    mel_statistics,
)
from audiorec_cli.convnet.network import Network, NetworkSettings
from audiorec_cli.convnet.splitting import groups_of, split_by_group
from audiorec_cli.convnet.training import Trainer, TrainingSettings

STANDARD = {"mel_mean": torch.zeros(128), "mel_deviation": torch.ones(128)}


class Batches:
    """A loader of one batch that is always the same."""

    def __init__(self, mels, targets):
        self.excerpts, self.batch = mels, (mels, targets)

    def epoch(self, epoch):
        yield self.batch


def unit(n, f):
    return torch.nn.functional.normalize(torch.randn(n, f), dim=1)


def test_the_network_of_the_article_overfits_eight_tracks():
    torch.manual_seed(0)
    mels, targets = torch.zeros(8, 128, 200), unit(8, 40)
    for track in range(8):
        mels[track, 16 * track : 16 * track + 8] = 3  # each has a register of its own
    batches = Batches(mels.half(), targets)
    settings = TrainingSettings(epochs=60, steps=())
    network = Network(NetworkSettings(dropout=0.0), **STANDARD)
    trainer = Trainer(network, settings, train=batches, validation=batches)
    for _ in range(settings.epochs):
        trainer.run_epoch()
    losses = trainer.history["validation_loss"]
    assert losses[0] > 0.02
    assert losses[-1] < 1e-4


def test_the_learning_rate_steps_down():
    settings = TrainingSettings(epochs=10, learning_rate=1.0, steps=(0.5, 0.9))
    rates = [settings.learning_rate_at(epoch) for epoch in range(10)]
    assert rates == pytest.approx([1] * 5 + [0.1] * 4 + [0.01])


def test_whole_artists_fall_on_one_side():
    groups = [f"artist {i // 4}" for i in range(200)]
    split = split_by_group(groups, validation=0.1, test=0.2, seed=0)
    artists = {part: {groups[row] for row in rows} for part, rows in split.items()}
    assert sorted(np.concatenate(list(split.values()))) == list(range(200))
    assert not artists["train"] & artists["validation"]
    assert not artists["train"] & artists["test"]
    assert not artists["validation"] & artists["test"]
    assert [len(split[part]) for part in ("train", "validation", "test")] == [140, 20, 40]


def test_a_giant_artist_does_not_swallow_a_part():
    groups = ["giant"] * 90 + [f"small {i}" for i in range(10)]
    for seed in range(20):
        split = split_by_group(groups, validation=0.1, test=0.1, seed=seed)
        assert len(split["train"]) >= 90
        assert len(split["validation"]) and len(split["test"])
    thirds = split_by_group(["a", "a", "b", "c"], validation=0.1, test=0.1, seed=0)
    assert sorted(map(len, thirds.values())) == [1, 1, 2]
    with pytest.raises(ValueError, match="2 groups"):
        split_by_group(["a", "b"], validation=0.1, test=0.1, seed=0)


def test_tracks_of_unknown_artists_stand_for_themselves():
    assert groups_of(["a", "b", "a", "c"], list("wxyz")) == ["a", "b", "a", "c"]
    assert groups_of(["a", "a", "", ""], list("wxyz")) == ["a", "a", "track\ny", "track\nz"]
    assert groups_of(["a", "a", "b"], list("xyz")) == ["x", "y", "z"]


@pytest.fixture
def mels(tmp_path, mels_file):
    return functools.partial(files.MelsReader, mels_file(tmp_path / "m.h5", 7))


def test_crops_depend_on_seed_epoch_and_index_alone(mels):
    excerpts = Excerpts(mels, [4, 2], targets=np.eye(2, dtype=np.float32), crop_frames=500, seed=3)
    mel, target = excerpts[5, 1]
    assert mel.shape == (128, 500)
    assert target.tolist() == [0, 1]
    again = Excerpts(mels, [4, 2], targets=np.eye(2, dtype=np.float32), crop_frames=500, seed=3)
    assert torch.equal(again[5, 1][0], mel)
    assert not torch.equal(excerpts[6, 1][0], mel)
    with mels() as reader:
        whole = torch.from_numpy(reader.read(2))
    starts = [start for start in range(100) if torch.equal(whole[:, start : start + 500], mel)]
    assert len(starts) == 1


def test_crops_reach_both_ends(mels):
    excerpts = Excerpts(mels, [0], crop_frames=597)
    with mels() as reader:
        whole = torch.from_numpy(reader.read(0))
    crops = {excerpts[epoch, 0][0][0, 0].item() for epoch in range(60)}
    assert crops == {whole[0, start].item() for start in range(3)}


def test_a_background_process_loads_every_excerpt_once_an_epoch(mels):
    loader = Loader(Excerpts(mels, range(7), seed=1), batch_size=3, shuffle=True)
    with closing_loaders(loader):
        orders = [torch.cat([i for _, i in loader.epoch(e)]).tolist() for e in (0, 1, 0)]
    assert sorted(orders[0]) == list(range(7))
    assert orders[0] == orders[2] != orders[1]
    assert len(loader) == 3


def test_statistics_are_those_of_each_bin_over_the_training_rows(mels):
    mean, deviation = mel_statistics(mels, [1, 3])
    with mels() as reader:
        both = np.concatenate([reader.read(row).astype(np.float64) for row in (1, 3)], axis=1)
    np.testing.assert_allclose(mean, both.mean(axis=1), rtol=1e-5)
    np.testing.assert_allclose(deviation, both.std(axis=1), rtol=1e-5)


def test_a_bin_that_never_changes_is_not_divided_by_zero(tmp_path, mels_file):
    path = mels_file(tmp_path / "silent.h5", mels=np.zeros((2, 128, 599)))
    _, deviation = mel_statistics(functools.partial(files.MelsReader, path), [0, 1])
    assert (deviation == 1).all()
