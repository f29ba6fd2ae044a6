"""The predictions that several commands begin with: found, or made where there are none yet."""

import itertools
from pathlib import Path

from audiorec_cli import console
from audiorec_cli.errors import AudiorecError
from audiorec_cli.options import DEFAULT_NAMES, found


def load_predicted(path, *, mels=None, checkpoint=None):
    """The path of a predictions file and its Predictions; found, or made, for None.

    mels, checkpoint : what to make them from, None for the only ones in this folder
    """
    from audiorec_cli import files

    path = path or found_or_made(mels, checkpoint)
    predicted = files.load_predictions(path)
    warn_if_outdated(path, predicted)
    return path, predicted


def found_or_made(mels=None, checkpoint=None):
    """The predictions file in this folder, made now where there is only what it is made from.

    mels, checkpoint : as above. Raises AudiorecError where it can be neither found nor made.
    """
    from audiorec_cli import files

    made = files.find_all("predictions")
    if made or not all(
        named or files.find_all(kind)
        for kind, named in (("mels", mels), ("checkpoint", checkpoint))
    ):
        return found("predictions", None)
    from audiorec_cli.commands.predict import write_predictions

    console.note("no predictions yet: making them")
    out = DEFAULT_NAMES["predictions"]
    write_predictions(mels=found("mels", mels), checkpoint=found("checkpoint", checkpoint), out=out)
    return out


def found_checkpoint(path, predicted):
    """The path of the checkpoint that Predictions at `path` were made from, None if not found.

    It is looked for where they name it, then beside them, then in this folder.
    """
    from audiorec_cli import files

    beside = (files.find_all("checkpoint", folder) for folder in (Path(path).parent, Path()))
    places = itertools.chain([named_checkpoint(predicted)], *beside)
    return next((place for place in places if _is_of(place, predicted)), None)


def warn_if_outdated(path, predicted):
    """Say so where the checkpoint is no longer the one that the predictions were made from.

    A project that was copied has its own, and what becomes of the first one's is of no matter.
    """
    named = named_checkpoint(predicted)
    is_of_this_project = named.parent.resolve() == Path(path).parent.resolve()
    if _is_of(named, predicted) is False and (
        is_of_this_project or found_checkpoint(path, predicted) is None
    ):
        console.note(
            f"{path} was not made from {named} as it is now: make it again with 'audiorec predict'"
        )


def named_checkpoint(predicted):
    """Where the checkpoint was that Predictions were made from."""
    return Path(str(predicted.params.get("checkpoint", "")))


def _is_of(checkpoint, predicted):
    """Whether predictions were made from a checkpoint; None where that is none, or gone."""
    from audiorec_cli import files

    try:
        return files.checkpoint_fingerprint(checkpoint) == predicted.fingerprint
    except (AudiorecError, OSError):
        return None
