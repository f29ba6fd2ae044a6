"""What can be varied of the network does what it says."""

import itertools

import pytest
import torch

from audiorec_cli.convnet.descriptors import n_descriptors
from audiorec_cli.convnet.layers import (
    BatchNorm,
    global_temporal_pool,
    maxout,
    stochastic_pool,
)
from audiorec_cli.convnet.network import Network
from audiorec_cli.convnet.presets import Grid, settings_of
from audiorec_cli.convnet.settings import NetworkSettings, TrainingSettings

STANDARD = {"mel_mean": torch.zeros(128), "mel_deviation": torch.ones(128)}
PUBLISHED = Grid(599, 22_050, 1102)


def small(**options):
    """A small network with these settings, ready to predict."""
    torch.manual_seed(0)
    sizes = {"conv_channels": (6, 5), "conv_pools": (4, 2), "dense_units": (8, 7), "n_factors": 3}
    return Network(NetworkSettings(**{**sizes, **options}), **STANDARD).eval()


def test_stochastic_pooling_draws_frames_by_their_activation():
    torch.manual_seed(0)
    regions = torch.tensor([1.0, 0.0, 3.0, 4.0]).repeat(1, 1, 20_000)
    drawn = stochastic_pool(regions, 4, sampled=True)
    shares = {value: (drawn == value).float().mean().item() for value in (1.0, 0.0, 3.0, 4.0)}
    assert shares == pytest.approx({1.0: 0.125, 0.0: 0.0, 3.0: 0.375, 4.0: 0.5}, abs=0.01)


def test_stochastic_pooling_predicts_what_it_draws_on_average():
    region = torch.tensor([[[1.0, 0.0, 3.0, 4.0, 9.0]]])  # the fifth belongs to no whole region
    pooled = stochastic_pool(region, 4, sampled=False)
    torch.testing.assert_close(pooled, torch.tensor([[[(1 + 9 + 16) / 8]]]))


def test_stochastic_pooling_of_what_is_not_positive():
    for sampled in (False, True):
        assert not stochastic_pool(torch.zeros(1, 2, 8), 4, sampled=sampled).any()
    negative = torch.tensor([[[-1.0, -3.0]]])
    assert stochastic_pool(negative, 2, sampled=False).item() == -2
    mixed = torch.tensor([[[-1.0, 3.0]]])
    assert stochastic_pool(mixed, 2, sampled=True).item() == 3


def test_stochastic_pooling_is_drawn_in_training_and_not_in_predicting():
    network, mels = small(pooling="stochastic", dropout=0.0), torch.rand(2, 128, 100)
    assert torch.equal(network(mels), network(mels))
    assert not torch.equal(network(mels), small(dropout=0.0)(mels))
    network.train()
    assert not torch.equal(network(mels), network(mels))


def test_maxout_takes_the_larger_of_two_pieces_of_a_unit():
    pieces = torch.tensor([[1.0, -2.0, -3.0, -5.0]])
    assert maxout(pieces, dim=1).tolist() == maxout(pieces, dim=-1).tolist() == [[1.0, -3.0]]
    network = small(activation="maxout")
    (_, conv), *_ = network.activations(torch.rand(1, 128, 100))
    assert conv.shape[1] == 6
    assert (conv < 0).any()
    assert network.convs[0].weight.shape[0] == 12
    assert network.dense[1].weight.shape == (14, 8)


def test_maxout_starts_as_loud_as_rectified_units():
    mels = torch.randn(4, 128, 300)
    loudness = {}
    for activation in ("relu", "maxout"):
        torch.manual_seed(0)
        network = Network(NetworkSettings(activation=activation), **STANDARD).eval()
        (_, conv), *_ = network.activations(mels)
        loudness[activation] = conv.square().mean().item()
    assert loudness["maxout"] == pytest.approx(loudness["relu"], rel=0.1)


@pytest.mark.parametrize("training", [True, False])
def test_batch_normalization_is_torchs_of_frames_and_of_rows(training):
    ours, theirs = BatchNorm(5), torch.nn.BatchNorm1d(5)
    for _ in range(3):  # the running statistics move alike
        frames = 3 + 2 * torch.randn(4, 5, 7)
        torch.testing.assert_close(ours(frames, dim=1), theirs(frames))
    ours.train(training)
    theirs.train(training)
    torch.testing.assert_close(ours(frames, dim=1), theirs(frames))
    rows = torch.randn(4, 6, 5)
    torch.testing.assert_close(ours(rows, dim=-1).flatten(0, 1), theirs(rows.flatten(0, 1)))


def test_a_normalised_network_hears_no_difference_in_the_scale_of_a_layer():
    settings = NetworkSettings(
        conv_channels=(4, 4), conv_pools=(2, 1), dense_units=(8,), n_factors=3,
        normalization="batch", dropout=0.0,
    )  # fmt: skip
    torch.manual_seed(0)
    network, mels = Network(settings, **STANDARD), torch.randn(6, 128, 30)
    before = network(mels)
    with torch.no_grad():
        network.convs[0].weight.mul_(10)
        network.dense[0].weight.mul_(10)
    torch.testing.assert_close(network(mels), before, rtol=0, atol=0.02)


def test_outputs_of_unit_norm_and_a_gradient_through_it():
    mels = torch.rand(3, 128, 100)
    raw, network = small(), small(l2_output=True)
    torch.testing.assert_close(network(mels).norm(dim=1), torch.ones(3))
    torch.testing.assert_close(network(mels), torch.nn.functional.normalize(raw(mels), dim=1))
    network(mels)[:, 0].sum().backward()
    assert network.convs[0].weight.grad.abs().sum() > 0


def test_what_goes_by_is_the_pooled_statistics_of_the_earlier_convolutions():
    network, mels = small(bypass=True), torch.rand(1, 128, 100)
    assert network.dense[0].in_features == 3 * 5 + 3 * 6
    features = []
    network.dense[0].register_forward_hook(lambda _, given, __: features.append(given[0]))
    first = dict(network.activations(mels))["conv1"]
    expected = global_temporal_pool(first) / first.shape[-1] ** 0.5
    torch.testing.assert_close(features[0][:, 15:], expected)


WINDOWED = {"window_frames": 60}


def test_what_goes_by_does_not_grow_with_the_length_where_deviations_are_taken():
    settings = NetworkSettings(
        conv_channels=(4, 4), conv_pools=(2, 1), dense_units=(8,), spread="deviation", bypass=True
    )
    network, first, last = Network(settings, **STANDARD), torch.rand(2, 4, 20), torch.rand(2, 4, 9)
    (once,), (twice,) = (network.bypassed([torch.cat([first] * n, dim=-1), last]) for n in (1, 2))
    torch.testing.assert_close(once, twice)


def test_windows_are_seen_alone_and_averaged_and_a_remainder_is_dropped():
    network, mels = small(**WINDOWED), torch.rand(2, 128, 199)
    alone = [network(mels[..., start : start + 60]) for start in (0, 60, 120)]
    torch.testing.assert_close(network(mels), sum(alone) / 3)
    assert torch.equal(network(mels), network(mels[..., :180]))
    with pytest.raises(ValueError, match="no window of 60"):
        network(mels[..., :59])


def test_a_window_is_flattened_not_pooled_over_time():
    network, mels = small(**WINDOWED), torch.rand(1, 128, 60)
    assert network.dense[0].in_features == 5 * network.settings.n_frames(60) == 5 * 5
    moved = mels.roll(8, dims=-1)
    assert not torch.allclose(network(mels), network(moved), atol=1e-4)
    both = small(**WINDOWED, bypass=True)
    assert both.dense[0].in_features == 5 * 5 + 3 * 6
    with pytest.raises(ValueError, match="a window needs"):
        NetworkSettings(window_frames=10)


def test_activations_of_windows_are_joined_along_time():
    network, mels = small(**WINDOWED), torch.rand(2, 128, 185)
    joined = dict(network.activations(mels))
    assert {name: tuple(a.shape) for name, a in joined.items()} == {
        "conv1": (2, 6, 3 * 57), "conv2": (2, 5, 3 * 11), "dense1": (2, 8, 3), "dense2": (2, 7, 3)
    }  # fmt: skip
    second = dict(network.activations(mels[..., 60:120]))
    torch.testing.assert_close(joined["conv1"][..., 57:114], second["conv1"])
    torch.testing.assert_close(joined["dense2"][..., 1:2], second["dense2"])


def test_frames_of_windows_lie_where_they_were_heard():
    settings = small(**WINDOWED).settings
    assert settings.centre_of_frame("conv1", 0) == 1.5
    assert settings.centre_of_frame("conv1", 57 + 4) == 60 + 4 + 1.5
    assert settings.centre_of_frame("dense1", 2) == 149.5


def test_predicted_variances_start_as_those_of_factors_of_unit_norm_and_stay_in_range():
    network, mels = small(predict_variance=True), torch.rand(2, 128, 100)
    outputs = network(mels)
    assert outputs.shape == (2, 6)
    torch.testing.assert_close(outputs[:, 3:], torch.full((2, 3), 1 / 3).log(), atol=1.0, rtol=0)
    network.output.bias.data[3:] = 1e6
    deviation = (network(mels)[:, 3:] / 2).exp()
    torch.testing.assert_close(deviation, torch.full((2, 3), 10 / 3**0.5))


def test_windows_with_variances_are_a_mixture():
    network, mels = small(**WINDOWED, predict_variance=True), torch.rand(1, 128, 120)
    halves = torch.cat([network(mels[..., :60]), network(mels[..., 60:])])
    means, variances = halves[:, :3], halves[:, 3:].exp()
    draws = means[:, None] + variances[:, None].sqrt() * torch.randn(2, 200_000, 3)
    together = network(mels)[0]
    torch.testing.assert_close(together[:3], means.mean(dim=0))
    torch.testing.assert_close(
        together[3:].exp(), draws.flatten(0, 1).var(dim=0), rtol=0.02, atol=0
    )
    assert (together[3:].exp() >= variances.mean(dim=0)).all()


@pytest.mark.parametrize("window_frames", [None, 60])
def test_the_heads_learn_apart_and_predict_together(window_frames):
    mels = torch.rand(2, 128, 130)
    network = small(descriptors="all", dropout=0.0, window_frames=window_frames)
    together = network(mels)
    by_head = network.train()(mels).unflatten(0, (network.n_heads, 2))
    torch.testing.assert_close(together, by_head.mean(dim=0))
    for one, other in itertools.combinations(by_head, 2):
        assert not torch.allclose(one, other)
    if window_frames is None:
        torch.testing.assert_close(by_head.norm(dim=-1), torch.ones(network.n_heads, 2))
        alone = small(l2_output=True, dropout=0.0)
        torch.testing.assert_close(alone(mels), by_head[0])


def test_the_heads_are_as_deep_as_the_network_and_drop_no_descriptor():
    network = small(descriptors="all", dense_units=(32, 31, 30), dropout=0.9)
    descriptors = torch.rand(2, n_descriptors(128))
    for head in network.descriptor_heads.heads:
        alike, *dropped = head.eval().dense_activations(descriptors)
        assert [units.shape[1] for units in (alike, *dropped)] == [32, 31, 30]
        first, *others = head.train().dense_activations(descriptors)
        torch.testing.assert_close(first, alike)
        assert not any(map(torch.equal, others, dropped))


def test_only_the_mean_is_normalised():
    mels = torch.rand(2, 128, 100)
    plain, scaled = small(predict_variance=True), small(predict_variance=True, l2_output=True)
    torch.testing.assert_close(scaled(mels)[:, :3].norm(dim=1), torch.ones(2))
    torch.testing.assert_close(scaled(mels)[:, 3:], plain(mels)[:, 3:])


@pytest.mark.parametrize(("n_layers", "channels", "pools"), [
    (1, (256,), (4,)), (3, (256, 256, 512), (4, 2, 2)),
    (6, (256, 256, 512, 512, 512, 512), (4, 2, 2, 1, 1, 1)),
])  # fmt: skip
def test_more_layers_are_like_the_last_and_fewer_are_the_first(n_layers, channels, pools):
    network, _ = settings_of("spotify2014", PUBLISHED, n_layers=n_layers)
    assert (network.conv_channels, network.conv_pools) == (channels, pools)


def test_the_presets_on_the_published_spectrograms():
    network, training = settings_of("spotify2014", PUBLISHED)
    assert (network, training) == (NetworkSettings(), TrainingSettings())
    network, training = settings_of("nips2013", PUBLISHED)
    assert (network.window_frames, training.crop_frames) == (60, 60)
    assert (len(network.conv_channels), len(network.dense_units)) == (2, 1)
    assert Network(network, **STANDARD)(torch.rand(1, 128, 599)).shape == (1, 40)
    network, training = settings_of("modern", PUBLISHED)
    assert (training.crop_frames, training.objective) == (550, "cosine")
    assert (training.optimizer, training.schedule) == ("adamw", "cosine")
    assert (network.normalization, network.spread) == ("batch", "deviation")
    assert network.descriptors == "all"


def test_the_presets_on_other_spectrograms():
    finer = Grid(1288, 22_050, 512)
    assert settings_of("nips2013", finer)[0].window_frames == round(3 * 22_050 / 512)
    assert settings_of("spotify2014", finer)[1].crop_frames == round(1288 * 550 / 599)
    modern, _ = settings_of("modern", Grid(1288, 44_100, 512))
    assert (modern.sample_rate, modern.hop_length) == (44_100, 512)


def test_crops_fit_however_the_sound_is_stretched():
    _, training = settings_of("spotify2014", PUBLISHED, training={"stretch": 0.5})
    assert training.crop_frames == int(599 / 1.5)
