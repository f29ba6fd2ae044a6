"""A checkpoint's weights as a safetensors file, which holds no code."""

import json

from audiorec_cli import __version__


def safetensors_bytes(checkpoint):
    """The weights that predict, with all that is needed to build their network again.

    Its tensors : those of Network.state_dict, and mel_mean and mel_deviation, all float32
    Its metadata, texts : settings, the checkpoint's as JSON, of which "network" makes
    NetworkSettings; fingerprint; created_by
    """
    from safetensors.numpy import save

    tensors = {
        **checkpoint.weights,
        "mel_mean": checkpoint.mel_mean,
        "mel_deviation": checkpoint.mel_deviation,
    }
    metadata = {
        "settings": json.dumps(_without_paths(checkpoint.settings)),
        "fingerprint": checkpoint.fingerprint,
        "created_by": f"audiorec {__version__}",
    }
    return save(tensors, metadata)


def _without_paths(settings):
    """Settings of a checkpoint without the path of the thumbs, which is this machine's."""
    if "tuning" not in settings:
        return settings
    tuning = {name: value for name, value in settings["tuning"].items() if name != "thumbs"}
    return {**settings, "tuning": tuning}
