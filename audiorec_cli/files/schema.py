"""The one schema: every kind of file, its datasets and its attributes."""

from dataclasses import dataclass

from audiorec_cli.records import N_MELS, Checkpoint, LoggedTracks

SCHEMA_VERSION = 4
READ_VERSIONS = (2, 3, 4)  # 2 knew no genre, 3 no mel statistics
TEXT = "utf-8"

# The command that makes each kind.
MADE_BY = {
    "mels": "audiorec mels AUDIO",
    "factors": "audiorec factorize LOG",
    "checkpoint": "audiorec train",
    "predictions": "audiorec predict",
    "recommendations": "audiorec recommend --all-users OUT",
}


def called(kind):
    """What a file of this kind holds, in a sentence."""
    return "a checkpoint" if kind == "checkpoint" else kind


@dataclass(frozen=True)
class Field:
    """A dataset of the schema: its type and its shape, where equal letters are equal numbers.

    optional : a file may be without it
    """

    dtype: str
    shape: tuple[int | str, ...]
    optional: bool = False


_TRACKS = {
    **{f"tracks/{c}": Field(TEXT, ("n",)) for c in ("track_id", "path", "title", "artist")},
    "tracks/album": Field(TEXT, ("n",)),
    "tracks/duration_s": Field("float64", ("n",)),
    "tracks/size": Field("int64", ("n",)),
    "tracks/mtime_ns": Field("int64", ("n",)),
    "tracks/isrc": Field(TEXT, ("n",)),
    "tracks/mbid": Field(TEXT, ("n",)),
    "tracks/genre": Field(TEXT, ("n",), optional=True),
}

# A name that ends in * stands for any name there, a shape of ("*",) for any shape.
SCHEMA = {
    "mels": {
        **_TRACKS,
        "excerpts/track": Field("int64", ("e",)),
        "excerpts/start_s": Field("float64", ("e",)),
        "excerpts/sound_s": Field("float64", ("e",)),
        "mels": Field("float16", ("e", N_MELS, "t")),
        "failures/path": Field(TEXT, ("b",)),
        "failures/reason": Field(TEXT, ("b",)),
        "failures/size": Field("int64", ("b",)),
        "failures/mtime_ns": Field("int64", ("b",)),
    },
    "factors": {
        **{f"tracks/{c}": Field(TEXT, ("n",)) for c in LoggedTracks.columns()[:5]},
        "tracks/plays": Field("float64", ("n",)),
        "tracks/listeners": Field("int64", ("n",)),
        "tracks/norm": Field("float32", ("n",)),
        "tracks/is_test": Field("uint8", ("n",), optional=True),
        "track_factors": Field("float32", ("n", "f")),
        "users/user_id": Field(TEXT, ("m",)),
        "user_factors": Field("float32", ("m", "f")),
        "plays/data": Field("float32", ("p",)),
        "plays/indices": Field("int32", ("p",)),
        "plays/indptr": Field("int64", ("q",)),
    },
    "checkpoint": {
        "weights/*": Field("float32", ("*",)),
        "latest_weights/*": Field("float32", ("*",)),
        "optimizer/*": Field("float32", ("*",)),
        "mel_mean": Field("float32", ("b",)),
        "mel_deviation": Field("float32", ("b",)),
        **{f"history/{c}": Field("float64", ("k",)) for c in Checkpoint.HISTORY},
        **{f"split/{part}": Field(TEXT, (part,)) for part in Checkpoint.SPLIT},
    },
    "predictions": {
        **_TRACKS,
        "predicted_factors": Field("float32", ("n", "f")),
        "deviation": Field("float32", ("n", "f"), optional=True),
        "mel_statistics": Field("float16", ("n", 2 * N_MELS), optional=True),
    },
    "recommendations": {
        **_TRACKS,
        "users/user_id": Field(TEXT, ("m",)),
        "recommended": Field("int32", ("m", "k")),
        "scores": Field("float32", ("m", "k")),
    },
}


def field_of(kind, name):
    """The schema's Field for the dataset `name` of a file of `kind`; None where it has none."""
    schema = SCHEMA[kind]
    return schema.get(name) or schema.get(f"{name.split('/')[0]}/*")
