"""A folder that TensorBoard's embedding projector shows."""

import io

import numpy as np

from audiorec_cli.output.writing import PART, one_line, require_folder_of, write_together

CONFIG = "projector_config.pbtxt"
TENSORS, METADATA = "tensors.tsv", "metadata.tsv"
COLUMNS = ("artist", "title", "album", "genre", "track_id")
HEAD = "# Made by audiorec."
ADDRESS = "http://localhost:6006/#projector"
CONFIG_TEXT = f"""{HEAD} Run tensorboard --logdir FOLDER and open {ADDRESS}
embeddings {{
  tensor_name: "predicted factors"
  tensor_path: "{TENSORS}"
  metadata_path: "{METADATA}"
}}
"""


def require_projector(folder):
    """Refuse a place that no folder can be made in, and a folder that holds anything else."""
    require_folder_of(folder, _is_ours, "a projector of audiorec")


def _is_ours(folder):
    names = {path.name for path in folder.iterdir() if not path.name.startswith(PART)}
    if not names:
        return True
    config = folder / CONFIG
    if not names <= {CONFIG, TENSORS, METADATA} or not config.is_file():
        return False
    with open(config, "rb") as file:
        return file.read(len(HEAD)) == HEAD.encode()


def write_projector(predictions, folder):
    """Write what TensorBoard shows, and its web page loads: factors, names and a configuration.

    folder : made where it is not there; see require_projector
    """
    existed = folder.exists()
    contents = {
        TENSORS: _tensors(predictions.predicted_factors),
        METADATA: _metadata(predictions.tracks),
        CONFIG: CONFIG_TEXT,
    }
    folder.mkdir(exist_ok=True)
    try:
        write_together({folder / name: text.encode() for name, text in contents.items()})
    finally:
        if not existed and not any(folder.iterdir()):
            folder.rmdir()


def _tensors(factors):
    written = io.StringIO()
    np.savetxt(written, factors, fmt="%.9g", delimiter="\t")  # the digits that float32 needs
    return written.getvalue()


def _metadata(tracks):
    """A line for each track, what it is called first, below one that names the columns."""
    columns = [list(map(tracks.name, range(len(tracks)))), *(getattr(tracks, c) for c in COLUMNS)]
    rows = [("name", *COLUMNS), *zip(*columns, strict=True)]
    return "".join("\t".join(map(one_line, row)) + "\n" for row in rows)
