"""Predictions as the tables of other programs: NumPy's .npy and .npz, and Parquet."""

import io

import numpy as np

from audiorec_cli.errors import AudiorecError

TEXTS = ("track_id", "artist", "title", "album", "genre", "path", "isrc", "mbid")
MAX_TEXT_BYTES = 1 << 30


def npy_bytes(predictions):
    """The predicted factors alone, (n, n_factors) float32, as a .npy file."""
    written = io.BytesIO()
    np.save(written, predictions.predicted_factors, allow_pickle=False)
    return written.getvalue()


def npz_bytes(predictions):
    """Predictions as a .npz file that np.load reads with allow_pickle=False.

    Its arrays: predicted_factors, (n, n_factors) float32; deviation, the same, where there is one;
    the TEXTS, (n,) unicode; duration_s, (n,) float64; fingerprint and audio_folder, one text each.
    Raises AudiorecError where a text is so long that the columns would fill the memory.
    """
    tracks, written = predictions.tracks, io.BytesIO()
    _require_room({name: getattr(tracks, name) for name in TEXTS})
    columns = {name: np.array(getattr(tracks, name), dtype=np.str_) for name in TEXTS}
    np.savez(
        written,
        **_factors(predictions),
        **columns,
        duration_s=tracks.duration_s,
        **{name: np.array(text) for name, text in _origin(predictions).items()},
    )
    return written.getvalue()


def parquet_bytes(predictions):
    """Predictions as a Parquet file, a row a track.

    Its columns: row, uint32, which is the track's id in a Voyager index; the TEXTS; duration_s;
    predicted_factors and, where there is one, deviation, both lists of n_factors float32. The
    fingerprint and the audio_folder stand in the file's metadata.
    """
    import polars as pl

    tracks, written = predictions.tracks, io.BytesIO()
    n, n_factors = predictions.predicted_factors.shape
    texts = {name: [as_utf8(text) for text in getattr(tracks, name)] for name in TEXTS}
    lists = {
        name: pl.Series(array, dtype=pl.Array(pl.Float32, n_factors))
        for name, array in _factors(predictions).items()
    }
    row = np.arange(n, dtype=np.uint32)
    table = pl.DataFrame({"row": row, **texts, "duration_s": tracks.duration_s, **lists})
    table.write_parquet(written, metadata=_origin(predictions))
    return written.getvalue()


def as_utf8(text):
    """The text, with the code of what UTF-8 cannot hold in its place, so that names stay unique."""
    return text.encode("utf-8", "backslashreplace").decode()


def _factors(predictions):
    arrays = {"predicted_factors": predictions.predicted_factors}
    if predictions.deviation is not None:
        arrays["deviation"] = predictions.deviation
    return arrays


def _origin(predictions):
    return {
        "fingerprint": as_utf8(predictions.fingerprint),
        "audio_folder": as_utf8(predictions.audio_folder),
    }


def _require_room(columns):
    """Refuse columns of texts that NumPy, by the longest of each, gives too much room."""
    longest = {name: max(map(len, texts)) for name, texts in columns.items()}
    n_tracks = len(columns["track_id"])
    if 4 * n_tracks * sum(longest.values()) > MAX_TEXT_BYTES:
        name = max(longest, key=longest.get)
        raise AudiorecError(
            f"the texts of {n_tracks} tracks take too much room in NumPy, which keeps as much for "
            f"each as the longest needs, such as a {name} of {longest[name]} letters: write "
            ".parquet"
        )
