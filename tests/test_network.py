"""The network is the one of the article: its size, its shapes, what it hears and leaves out."""

import pytest
import torch

from audiorec_cli.convnet.layers import global_temporal_pool
from audiorec_cli.convnet.network import Network
from audiorec_cli.convnet.settings import NetworkSettings

STANDARD = {"mel_mean": torch.zeros(128), "mel_deviation": torch.ones(128)}


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return Network(NetworkSettings(), **STANDARD).eval()


def test_the_network_of_the_article_has_9_393_704_parameters(network):
    assert sum(p.numel() for p in network.parameters()) == 9_393_704


def test_every_intermediate_shape(network):
    mels = torch.rand(2, 128, 599)
    shapes = {name: tuple(a.shape) for name, a in network.activations(mels)}
    assert shapes == {
        "conv1": (2, 256, 596),
        "conv2": (2, 256, 146),
        "conv3": (2, 512, 70),
        "conv4": (2, 512, 32),
        "dense1": (2, 2048),
        "dense2": (2, 2048),
    }
    assert list(shapes) == network.settings.layers
    seen = {}
    for name, layer in network.named_modules():
        layer.register_forward_hook(
            lambda _, given, __, name=name: seen.update({name: tuple(given[0].shape)})
        )
    assert network(mels).shape == (2, 40)
    inputs = {name: seen[name] for name in ("convs.1", "convs.2", "convs.3", "dense.0", "output")}
    assert inputs == {
        "convs.1": (2, 256, 149),
        "convs.2": (2, 256, 73),
        "convs.3": (2, 512, 35),
        "dense.0": (2, 1536),
        "output": (2, 2048),
    }


def test_units_are_rectified_and_the_loudest_of_neighbouring_frames_goes_on(network):
    given = {}
    network.convs[1].register_forward_hook(lambda _, inputs, __: given.update(conv2=inputs[0]))
    activations = dict(network.activations(torch.rand(2, 128, 599)))
    for units in activations.values():
        assert units.min() == 0 < units.max()
    linear = network.convs[1](given["conv2"])
    assert linear.min() < 0
    torch.testing.assert_close(activations["conv2"], linear.clamp(min=0))
    by_fours = activations["conv1"].unfold(2, 4, 4)
    torch.testing.assert_close(given["conv2"], by_fours.amax(dim=3))


def test_global_temporal_pooling_is_mean_maximum_and_l2_norm():
    activations = torch.tensor([[[3.0, 0.0, 4.0, 1.0], [0.0, 0.0, 0.0, 0.0]]])
    pooled = global_temporal_pool(activations)
    torch.testing.assert_close(pooled, torch.tensor([[2.0, 0.0, 4.0, 0.0, 26**0.5, 0.0]]))
    with pytest.raises(ValueError, match="no frame"):
        global_temporal_pool(torch.zeros(1, 2, 0))


def test_the_deviation_does_not_grow_with_the_number_of_frames():
    activations = torch.rand(2, 3, 50)
    once, twice = (
        global_temporal_pool(torch.cat([activations] * n, dim=-1), "deviation") for n in (1, 2)
    )
    torch.testing.assert_close(once, twice)
    torch.testing.assert_close(once[:, 6:], activations.std(dim=-1, correction=0))
    silent = torch.zeros(1, 2, 10, requires_grad=True)
    global_temporal_pool(silent, "deviation").sum().backward()
    assert torch.isfinite(silent.grad).all()


def test_silence_has_a_gradient():
    activations = torch.zeros(1, 2, 5, requires_grad=True)
    global_temporal_pool(activations).sum().backward()
    assert torch.isfinite(activations.grad).all()


def test_convolutions_see_time_only_and_nothing_is_padded(network):
    mels = torch.rand(1, 128, 599)
    changed = mels.clone()
    changed[:, :, 300] += 1
    (_, before), (_, after) = next(network.activations(mels)), next(network.activations(changed))
    frames = (before != after).any(dim=1).nonzero()[:, 1]
    assert set(frames.tolist()) <= {297, 298, 299, 300}
    assert len(frames)


def test_inputs_are_standardised_by_bin():
    mean, deviation = torch.rand(128), torch.rand(128) + 0.5
    plain = Network(NetworkSettings(), **STANDARD).eval()
    fitted = Network(NetworkSettings(), mel_mean=mean, mel_deviation=deviation).eval()
    fitted.load_state_dict(plain.state_dict())
    mels = torch.rand(1, 128, 150)
    moved = mels * deviation[:, None] + mean[:, None]
    torch.testing.assert_close(plain(mels), fitted(moved), atol=1e-4, rtol=1e-4)


def test_a_dead_beginning_and_end_do_not_matter_to_the_shortest_input(network):
    shortest = network.settings.min_frames
    assert network(torch.rand(1, 128, shortest)).shape == (1, 40)
    with pytest.raises((RuntimeError, ValueError)):
        network(torch.rand(1, 128, shortest - 1))


@pytest.mark.parametrize(
    ("layer", "expected"),
    [("conv1", (4, 1)), ("conv2", (19, 4)), ("conv3", (47, 8)), ("conv4", (103, 16)),
     ("dense1", (103, 16))],
)  # fmt: skip
def test_receptive_fields(network, layer, expected):
    assert network.settings.receptive_field(layer) == expected


def test_a_frame_depends_on_its_receptive_field_only(network):
    width, step = network.settings.receptive_field("conv3")
    mels = torch.rand(1, 128, 599, requires_grad=True)
    activations = dict(network.activations(mels))["conv3"]
    activations[0, :, 20].sum().backward()
    frames = mels.grad.abs().sum(dim=(0, 1)).nonzero().flatten()
    assert frames.min() >= 20 * step
    assert frames.max() < 20 * step + width


def test_dropout_is_in_the_dense_layers_and_only_in_training(network):
    mels = torch.rand(1, 128, 200)
    assert torch.equal(network(mels), network(mels))
    network.train()
    first, second = dict(network.activations(mels)), dict(network.activations(mels))
    assert torch.equal(first["conv4"], second["conv4"])
    assert not torch.equal(first["dense1"], second["dense1"])
    network.eval()


def test_settings_survive_json():
    import json
    from dataclasses import asdict

    settings = NetworkSettings(n_factors=7)
    assert NetworkSettings(**json.loads(json.dumps(asdict(settings)))) == settings


@pytest.mark.parametrize("bad", [{"conv_channels": (1, 2)}, {"dense_units": ()}])
def test_settings_that_make_no_network_are_refused(bad):
    with pytest.raises(ValueError, match=r"each convolution|at least one"):
        NetworkSettings(**bad)


@pytest.mark.parametrize("name", ["sample_rate", "hop_length"])
@pytest.mark.parametrize("bad", [0, -1, 10**400, float("inf"), float("nan"), True, "1", None])
def test_rates_that_are_no_whole_numbers_are_refused(name, bad):
    with pytest.raises(ValueError, match=name):
        NetworkSettings(**{name: bad})
