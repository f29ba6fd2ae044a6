"""Nothing but a good file is read: what is damaged, hostile or too new is refused in one line."""

import subprocess
import sys

import h5py
import numpy as np
import pytest

from audiorec_cli import files
from audiorec_cli.errors import AudiorecError
from audiorec_cli.files.schema import SCHEMA_VERSION

# What a hostile or damaged file can be: each spoils a good predictions file.


def external_link(file):
    file["stray"] = h5py.ExternalLink("/etc/passwd", "/")


def soft_link(file):
    del file["predicted_factors"]
    file["predicted_factors"] = h5py.SoftLink("/tracks/size")


def external_storage(file):
    del file["predicted_factors"]
    file.create_dataset(
        "predicted_factors", (12, 4), "float32", external=[("/etc/passwd", 0, h5py.h5f.UNLIMITED)]
    )


def virtual_dataset(file):
    del file["predicted_factors"]
    layout = h5py.VirtualLayout((12, 4), "float32")
    layout[:] = h5py.VirtualSource("other.h5", "x", (12, 4))
    file.create_virtual_dataset("predicted_factors", layout)


def compressed(file):
    values = file["predicted_factors"][()]
    del file["predicted_factors"]
    file.create_dataset("predicted_factors", data=values, compression="gzip")


def never_written(file):
    del file["predicted_factors"]
    file.create_dataset("predicted_factors", (12, 4), "float32", chunks=(12, 4))


def absurdly_large(file):
    del file["predicted_factors"]
    file.create_dataset("predicted_factors", (12, 2**40), "float32", chunks=(12, 1024))


def wrong_type(file):
    del file["predicted_factors"]
    file["predicted_factors"] = np.zeros((12, 4))


def objects(file):
    del file["predicted_factors"]
    file.create_dataset("predicted_factors", (12,), dtype=h5py.ref_dtype)


def without_a_shape(file):
    del file["predicted_factors"]
    file["predicted_factors"] = h5py.Empty("f4")


def too_few_rows(file):
    values = file["predicted_factors"][:-1]
    del file["predicted_factors"]
    file["predicted_factors"] = values


def missing(file):
    del file["tracks/artist"]


def stray(file):
    file["tracks/extra"] = np.zeros(12)


def stray_name_of_no_text(file):
    file[b"stray\xff"] = np.zeros(12)


def stray_group_of_no_text(file):
    file.create_group(b"stray\xff")["x"] = np.zeros(12)


def not_finite(file):
    file["predicted_factors"][3] = np.nan


def statistics_of_other_bins(file):
    file["mel_statistics"] = np.ones((len(file["predicted_factors"]), 6000), np.float16)


def statistics_that_are_no_numbers(file):
    n = len(file["predicted_factors"])
    file["mel_statistics"] = np.full((n, 256), np.inf, np.float16)


def twice_the_same_track(file):
    file["tracks/track_id"][1] = file["tracks/track_id"][0]


def named_type(file):
    file["stray"] = np.dtype("float32")


def no_settings(file):
    file.attrs["params"] = "{"


SPOILERS = (
    external_link, soft_link, external_storage, virtual_dataset, compressed, never_written,
    absurdly_large, wrong_type, objects, without_a_shape, too_few_rows, missing, stray, not_finite,
    twice_the_same_track, named_type, no_settings, statistics_of_other_bins,
    statistics_that_are_no_numbers, stray_name_of_no_text, stray_group_of_no_text,
)  # fmt: skip


@pytest.mark.parametrize("spoil", SPOILERS, ids=lambda spoil: spoil.__name__)
def test_a_spoilt_file_is_refused(tmp_path, predictions_file, spoil):
    path = predictions_file(tmp_path / "p.h5")
    with h5py.File(path, "r+") as file:
        spoil(file)
    with pytest.raises(AudiorecError, match=r"p\.h5 is damaged: .*'audiorec predict'") as caught:
        files.load_predictions(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("share", [0.01, 0.3, 0.7, 0.99])
def test_a_truncated_file_is_refused(tmp_path, predictions_file, share):
    path = predictions_file(tmp_path / "p.h5")
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(AudiorecError, match=r"truncated or damaged|is damaged"):
        files.load_predictions(path)


def test_a_newer_version_is_refused(tmp_path, predictions_file):
    path = predictions_file(tmp_path / "p.h5")
    with h5py.File(path, "r+") as file:
        file.attrs["schema_version"] = SCHEMA_VERSION + 1
    with pytest.raises(
        AudiorecError, match=rf"schema version {SCHEMA_VERSION + 1}.*upgrade audiorec"
    ):
        files.load_predictions(path)


def test_text_that_is_counted_many_times_is_refused_in_little_memory(tmp_path, predictions_file):
    path = predictions_file(tmp_path / "p.h5", np.eye(4, dtype=np.float32)[np.arange(400) % 4])
    with h5py.File(path, "r+") as file:
        file["tracks/title"][0] = b"x" * 2**24
        stored = file["tracks/title"].id
        offset, size = stored.get_offset(), stored.get_storage_size()
    content = bytearray(path.read_bytes())
    pointer = size // 400
    content[offset : offset + size] = content[offset : offset + pointer] * 400
    path.write_bytes(content)
    script = (
        "import resource, sys; from audiorec_cli.cli import main\n"
        f"status = main(['similar', 'x', '--predictions', {str(path)!r}])\n"
        "print(status, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    status, peak_mib = map(int, done.stdout.split())
    assert status == 1
    assert "claims more text than the file holds" in done.stderr
    assert peak_mib < 2_500


def test_what_a_file_leaves_out_is_no_memory_of_ours(tmp_path, predictions_file):
    path = predictions_file(tmp_path / "p.h5")
    with h5py.File(path, "r+") as file:
        n, f = 12, 256
        creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        creation.set_chunk((1, 64 * f))  # one of them takes more room than all the rows need
        creation.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
        space = h5py.h5s.create_simple((n, f), (n, h5py.h5s.UNLIMITED))
        h5py.h5d.create(file.id, b"mel_statistics", h5py.h5t.IEEE_F16LE, space, dcpl=creation)
        file["mel_statistics"][0] = 1
    np.full((n, f), 7, np.float16)  # memory to be used again
    statistics = files.load_predictions(path).mel_statistics
    assert not statistics[1:].any()


def test_numbers_in_the_other_byte_order_are_read(tmp_path, predictions_file):
    path = predictions_file(tmp_path / "p.h5")
    with h5py.File(path, "r+") as file:
        factors = file["predicted_factors"][()]
        del file["predicted_factors"]
        file["predicted_factors"] = factors.astype(">f4")
    read = files.load_predictions(path).predicted_factors
    assert read.dtype.isnative
    assert np.array_equal(read, factors)
