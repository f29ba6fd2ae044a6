"""Training learns, splits by artist, stops and goes on, and says when it cannot."""

import copy
import functools
from dataclasses import replace

import numpy as np
import pytest
import torch

from audiorec_cli import files
from audiorec_cli.convnet.loading import (
    Excerpts,
    Loader,
    closing_loaders,
    mel_statistics,
    stretched,
)
from audiorec_cli.convnet.network import Network
from audiorec_cli.convnet.objectives import CosineDistance
from audiorec_cli.convnet.presets import PRESETS
from audiorec_cli.convnet.settings import NetworkSettings, TrainingSettings
from audiorec_cli.convnet.splitting import groups_of, split_around, split_by_group
from audiorec_cli.convnet.training import Trainer

STANDARD = {"mel_mean": torch.zeros(128), "mel_deviation": torch.ones(128)}


class Batches:
    """A loader of one batch that is always the same."""

    def __init__(self, mels, targets):
        self.excerpts, self.batch = mels, (mels, targets)

    def __len__(self):
        return 1

    def epoch(self, epoch):
        yield self.batch


def unit(n, f):
    return torch.nn.functional.normalize(torch.randn(n, f), dim=1)


def test_the_network_of_the_article_overfits_eight_tracks():
    torch.manual_seed(0)
    mels, targets = torch.zeros(8, 128, 140), unit(8, 40)
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


def test_the_step_is_that_of_nesterov_momentum():
    torch.manual_seed(0)
    batches = Batches(torch.rand(4, 128, 30), unit(4, 3))
    small = {"conv_channels": (4,), "conv_pools": (4,), "dense_units": (4,), "n_factors": 3}
    network = Network(NetworkSettings(**small, dropout=0.0), **STANDARD)
    by_hand = copy.deepcopy(network)
    settings = TrainingSettings(epochs=3, learning_rate=0.1, steps=())
    trainer = Trainer(network, settings, train=batches, validation=batches)
    parameters = list(by_hand.parameters())
    velocities = [torch.zeros_like(parameter) for parameter in parameters]
    for _ in range(settings.epochs):
        trainer.run_epoch()
        mels, targets = batches.batch
        loss = (by_hand(mels) - targets).square().sum(dim=1).mean()
        gradients = torch.autograd.grad(loss, parameters)
        with torch.no_grad():
            for parameter, velocity, gradient in zip(
                parameters, velocities, gradients, strict=True
            ):
                velocity.mul_(0.9).add_(gradient)
                parameter.sub_(0.1 * (gradient + 0.9 * velocity))
    for trained, expected in zip(network.parameters(), parameters, strict=True):
        torch.testing.assert_close(trained, expected)


def test_the_modern_network_overfits_eight_tracks():
    torch.manual_seed(0)
    preset = PRESETS["modern"]
    network = Network(replace(preset.network, dropout=0.0), **STANDARD)
    batches = Batches(torch.randn(8, 128, 130), unit(8, 40))
    trainer = Trainer(
        network,
        replace(preset.training, epochs=40),
        train=batches,
        validation=batches,
        objective=CosineDistance(),
    )
    for _ in range(40):
        trainer.run_epoch()
    assert trainer.history["train_loss"][0] > 0.9
    assert trainer.history["train_loss"][-1] < 0.05


def test_a_last_batch_of_one_is_normalised_by_what_came_before():
    class Unequal(Batches):
        def __len__(self):
            return 2

        def epoch(self, epoch):
            yield self.batch
            yield tuple(part[:1] for part in self.batch)

    preset = PRESETS["modern"]
    batches = Unequal(torch.randn(5, 128, 130), unit(5, 40))
    network = Network(preset.network, **STANDARD)
    trainer = Trainer(network, preset.training, train=batches, validation=batches)
    trainer.run_epoch()
    weights = trainer.state()["latest_weights"]
    assert all(np.isfinite(array).all() for array in weights.values())
    assert not np.array_equal(weights["feature_norm.running_mean"], np.zeros(3 * 64))


@pytest.mark.parametrize(("kept", "epoch"), [("best", 1), ("last", 3)])
def test_the_weights_of_the_epoch_asked_for_are_kept(kept, epoch):
    class Worse(Batches):
        """Validation targets that are farther from what was learned with every epoch."""

        def epoch(self, epoch):
            for mels, targets in super().epoch(epoch):
                yield mels, targets + 100 * trainer.epochs_done

    batches = Batches(torch.randn(4, 128, 130), unit(4, 40))
    settings = replace(PRESETS["modern"].training, epochs=3, kept=kept)
    network = Network(PRESETS["modern"].network, **STANDARD)
    worse = Worse(*batches.batch)
    trainer = Trainer(network, settings, train=batches, validation=worse)
    states = []
    for _ in range(3):
        trainer.run_epoch()
        states.append(trainer.state())
    weights, wanted = states[-1]["weights"], states[epoch - 1]["latest_weights"]
    assert all(np.array_equal(weights[name], wanted[name]) for name in wanted)
    other = states[3 - epoch]["latest_weights"]
    assert any(not np.array_equal(weights[name], other[name]) for name in other)


def test_the_learning_rate_steps_down():
    settings = TrainingSettings(epochs=10, learning_rate=1.0, steps=(0.5, 0.9))
    rates = [settings.learning_rate_at(update, 3) for update in range(30)]
    assert rates == pytest.approx([1] * 15 + [0.1] * 12 + [0.01] * 3)


def test_the_learning_rate_rises_and_falls_along_a_cosine():
    settings = TrainingSettings(epochs=10, learning_rate=1.0, schedule="cosine", warmup=0.1)
    rates = np.array([settings.learning_rate_at(update, 100) for update in range(1000)])
    assert 0 < rates[0] < 0.01
    assert rates.argmax() == pytest.approx(100, abs=2)
    assert rates.max() == pytest.approx(1, abs=0.01)
    assert rates[550] == pytest.approx(0.5, abs=0.01)
    assert 0 < rates[-1] < 1e-5
    by_updates = replace(settings, updates=1000)
    assert [by_updates.learning_rate_at(update, 7) for update in range(1000)] == list(rates)


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


def test_excerpts_are_read_once_as_far_as_they_are_kept(mels):
    with mels() as reader:
        excerpt = reader.read(0)
    read = []

    class Counted(files.MelsReader):
        def read(self, row):
            read.append(row)
            return super().read(row)

    counted = functools.partial(Counted, *mels.args)
    kept = Excerpts(counted, [4, 2, 6], cache_bytes=2 * excerpt.nbytes)
    plain = Excerpts(mels, [4, 2, 6])
    for epoch in range(3):
        for index in range(3):
            assert torch.equal(kept[epoch, index][0], plain[epoch, index][0])
    assert read == [4, 2, 6, 6, 6]


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


CLICKS = np.arange(0, 600, 40)


@pytest.fixture
def clicks(tmp_path, mels_file):
    """A mels file whose only excerpt clicks every 40 frames."""
    mels = np.zeros((1, 128, 599))
    mels[:, :, CLICKS[CLICKS < 599]] = 1
    return functools.partial(files.MelsReader, mels_file(tmp_path / "clicks.h5", mels=mels))


def period(mel):
    """Frames between two clicks, from where each lies on average."""
    loud = np.asarray(mel[0], dtype=float)
    at = np.flatnonzero(loud)
    groups = np.split(at, np.flatnonzero(np.diff(at) > 5) + 1)
    centres = [np.average(group, weights=loud[group]) for group in groups][1:-1]
    return np.diff(centres).mean()


@pytest.mark.parametrize("factor", [0.8, 1.0, 1.25])
def test_clicks_come_slower_by_the_factor_of_the_stretch(clicks, factor):
    with clicks() as reader:
        mel = reader.read(0)
    assert period(stretched(mel, factor, start=3.3, n_frames=450)) == pytest.approx(
        40 * factor, rel=0.02
    )
    whole = stretched(mel, 1.0, start=0, n_frames=599)
    np.testing.assert_array_equal(whole, mel)
    assert whole.dtype == mel.dtype


def test_stretches_reach_either_end_of_their_range_and_depend_on_the_seed_alone(clicks):
    options = {"crop_frames": int(599 / 1.25), "stretch": 0.25}
    excerpts = Excerpts(clicks, [0], **options)
    crops = [excerpts[epoch, 0][0] for epoch in range(80)]
    assert all(crop.shape == (128, 479) and torch.isfinite(crop).all() for crop in crops)
    periods = [period(crop) for crop in crops]
    assert 40 / 1.25 * 0.98 <= min(periods) < 34
    assert 48 < max(periods) <= 40 * 1.25 * 1.02
    assert np.mean(np.log(np.array(periods) / 40)) == pytest.approx(0, abs=0.06)
    assert torch.equal(Excerpts(clicks, [0], **options)[7, 0][0], crops[7])
    assert not torch.equal(Excerpts(clicks, [0], seed=1, **options)[7, 0][0], crops[7])


@pytest.fixture
def rates_of():
    """The learning rates of all updates of three epochs of three batches, and the trainer."""
    torch.manual_seed(0)
    batch = torch.rand(2, 128, 30), torch.rand(2, 3)

    class ThreeBatches:
        excerpts = range(6)

        def __len__(self):
            return 3

        def epoch(self, epoch):
            yield from [batch] * 3

    def run(settings):
        small = {"conv_channels": (4,), "conv_pools": (4,), "dense_units": (4,), "n_factors": 3}
        network = Network(NetworkSettings(**small), **STANDARD)
        trainer = Trainer(network, settings, train=ThreeBatches(), validation=ThreeBatches())
        rates = []

        def on_batch(n, loss):
            assert n == 2
            rates.append(trainer._optimizer.param_groups[0]["lr"])

        for _ in range(3):
            trainer.run_epoch(on_batch=on_batch)
        return rates, trainer

    return run


def test_the_learning_rate_steps_by_updates_where_they_count(rates_of):
    settings = TrainingSettings(updates=8, batch_size=2, learning_rate=0.1, steps=(0.5, 0.9))
    assert settings.n_epochs(6) == 3
    assert settings.n_seen(6) == 16
    rates, trainer = rates_of(settings)
    assert rates == pytest.approx([0.1] * 4 + [0.01] * 4)
    assert trainer.history["learning_rate"] == pytest.approx([0.1, 0.01, 0.01])
    assert len(trainer.history["validation_loss"]) == 3


@pytest.mark.parametrize("schedule", ["steps", "cosine"])
@pytest.mark.parametrize("updates", [None, 8])
def test_the_schedule_goes_on_from_epoch_to_epoch(rates_of, schedule, updates):
    settings = TrainingSettings(
        epochs=3, updates=updates, batch_size=2, learning_rate=0.1, schedule=schedule,
        steps=(0.5,), warmup=0.2,
    )  # fmt: skip
    rates, _ = rates_of(settings)
    assert rates == [settings.learning_rate_at(update, 3) for update in range(updates or 9)]
    assert len(set(rates)) == (len(rates) if schedule == "cosine" else 2)


def test_a_last_update_at_the_end_of_an_epoch_begins_no_other():
    settings = TrainingSettings(updates=6, batch_size=4)
    assert settings.n_epochs(10) == 2
    assert settings.n_seen(10) == 20


def test_tracks_to_be_tested_are_and_their_groups_are_left_out():
    groups = [f"artist {i // 4}" for i in range(40)]
    is_test = np.zeros(40, bool)
    is_test[[0, 1, 39]] = True
    split = split_around(is_test, groups, validation=0.25, seed=0)
    assert split["test"].tolist() == [0, 1, 39]
    seen = np.concatenate([split["train"], split["validation"]])
    assert sorted(seen) == list(range(4, 36))
    assert len(split["validation"]) == 8
    assert not {groups[i] for i in split["train"]} & {groups[i] for i in split["validation"]}
    with pytest.raises(ValueError, match="1 groups"):
        split_around(is_test, ["a"] * 3 + ["b"] * 36 + ["c"], validation=0.1, seed=0)
