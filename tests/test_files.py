"""Every kind of file comes back as it went in, or is refused with one line."""

import dataclasses
import os

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.sparse import csr_matrix

from audiorec_cli import files
from audiorec_cli.errors import AudiorecError
from audiorec_cli.records import (
    AnalysedTrack,
    Checkpoint,
    Factors,
    Failure,
    LoggedTracks,
    Plays,
    Predictions,
    Recommendations,
    Tracks,
)

examples = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
# Any text that a tag or a file name can hold: file names that are not UTF-8 come as surrogates.
text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
name = text.map(lambda t: t + os.fsdecode(b"\xff")) | text


def assert_same(ours, theirs):
    for f in dataclasses.fields(ours):
        a, b = getattr(ours, f.name), getattr(theirs, f.name)
        if dataclasses.is_dataclass(a):
            assert_same(a, b)
        elif isinstance(a, csr_matrix):
            assert (a != b).nnz == 0
            assert a.dtype == b.dtype
        elif isinstance(a, dict):
            assert set(a) == set(b)
            for key in a:
                np.testing.assert_array_equal(np.asarray(a[key]), np.asarray(b[key]))
        else:
            np.testing.assert_array_equal(np.asarray(a), np.asarray(b))


@st.composite
def texts(draw, n, of=text):
    return draw(st.lists(of, min_size=n, max_size=n))


@st.composite
def ids(draw, n):
    return draw(st.lists(name, min_size=n, max_size=n, unique=True))


@st.composite
def tables(draw, n):
    numbers = {
        "duration_s": draw(arrays(np.float64, n, elements=st.floats(0, 1e6))),
        "size": draw(arrays(np.int64, n, elements=st.integers(0, 2**62))),
        "mtime_ns": draw(arrays(np.int64, n, elements=st.integers(-(2**62), 2**62))),
    }
    plain = {c: draw(texts(n)) for c in ("title", "artist", "album", "isrc", "mbid", "genre")}
    return Tracks(track_id=draw(ids(n)), path=draw(texts(n, name)), **plain, **numbers)


def factors_of(n, f, seed):
    values = np.random.default_rng(seed).normal(size=(n, f)).astype(np.float32)
    return values / np.linalg.norm(values, axis=1, keepdims=True)


@given(data=st.data(), n=st.integers(1, 5), m=st.integers(1, 4), f=st.integers(1, 3))
@examples
def test_factors_round_trip(tmp_path, data, n, m, f):
    matrix = csr_matrix(data.draw(arrays(np.float32, (m, n), elements=st.integers(0, 9))))
    columns = {c: data.draw(texts(n)) for c in ("title", "artist", "isrc", "mbid")}
    logged = LoggedTracks(
        track_id=data.draw(ids(n)), **columns, plays=np.ones(n), listeners=np.ones(n, np.int64)
    )
    log = Plays(data.draw(ids(m)), logged, matrix)
    user_factors = np.ones((m, f), np.float32)
    is_test, is_held_out = (data.draw(arrays(bool, n)) for _ in range(2))
    factors = np.where(is_held_out[:, None], 0, factors_of(n, f, 0))
    norm = np.where(is_held_out, 0, 2).astype(np.float32)
    saved = Factors(log, factors, norm, user_factors, is_test | is_held_out, {"a": 1})
    files.save_factors(tmp_path / "f.h5", saved)
    assert_same(saved, files.load_factors(tmp_path / "f.h5"))


def test_factors_that_say_nothing_of_test_tracks_have_none(tmp_path, factors_file):
    path = factors_file(tmp_path / "f.h5")
    with h5py.File(path, "r+") as file:
        del file["tracks/is_test"]
    assert not files.load_factors(path).is_test.any()


def test_a_track_held_out_has_no_factors_and_is_tested():
    log = Plays(["u"], LoggedTracks(*([["t"]] * 5), np.ones(1), np.ones(1, int)),
                csr_matrix(np.ones((1, 1), np.float32)))  # fmt: skip
    zero, one = np.zeros((1, 1), np.float32), np.ones((1, 1), np.float32)
    held_out, yes, no = np.zeros(1, np.float32), np.ones(1, bool), np.zeros(1, bool)
    assert Factors(log, zero, held_out, one, yes).is_held_out.all()
    for factors, is_test, message in ((one, yes, "held out"), (zero, no, "no test tracks")):
        with pytest.raises(ValueError, match=message):
            Factors(log, factors, held_out, one, is_test)


@given(data=st.data(), n=st.integers(0, 4), f=st.integers(1, 3))
@examples
def test_predictions_round_trip(tmp_path, data, n, f):
    deviation = data.draw(st.sampled_from([None, np.full((n, f), 0.1, np.float32)]))
    statistics = data.draw(st.sampled_from([None, np.full((n, 256), 0.5, np.float16)]))
    saved = Predictions(
        data.draw(tables(n)),
        factors_of(n, f, 0),
        "abc",
        data.draw(name),
        deviation=deviation,
        mel_statistics=statistics,
    )
    files.save_predictions(tmp_path / "p.h5", saved)
    assert_same(saved, files.load_predictions(tmp_path / "p.h5"))


@given(data=st.data(), n=st.integers(0, 4), m=st.integers(0, 3), k=st.integers(0, 3))
@examples
def test_recommendations_round_trip(tmp_path, data, n, m, k):
    saved = Recommendations(
        user_id=data.draw(texts(m)),
        tracks=data.draw(tables(n)),
        recommended=data.draw(arrays(np.int32, (m, k), elements=st.integers(-1, n - 1))),
        scores=data.draw(arrays(np.float32, (m, k), elements=st.floats(-1, 1, width=32))),
        audio_folder=data.draw(name),
        params={"trust": 3.0},
    )
    files.save_recommendations(tmp_path / "r.h5", saved)
    assert_same(saved, files.load_recommendations(tmp_path / "r.h5"))


@given(data=st.data(), n_epochs=st.integers(0, 3))
@examples
def test_checkpoints_round_trip(tmp_path, data, n_epochs):
    shape = st.integers(1, 3) | st.tuples(st.integers(1, 3), st.integers(1, 3))
    finite = st.floats(-1e6, 1e6, width=32)
    weights = {
        key: data.draw(arrays(np.float32, shape, elements=finite)) for key in ("a.bias", "b")
    }
    saved = Checkpoint(
        settings={"network": {"n_mels": 128}},
        weights=weights,
        latest_weights=weights,
        optimizer={"b": weights["b"]},
        mel_mean=np.zeros(4, np.float32),
        mel_deviation=np.ones(4, np.float32),
        history={column: np.arange(n_epochs, dtype=float) for column in Checkpoint.HISTORY},
        split={part: data.draw(st.lists(name, max_size=3)) for part in Checkpoint.SPLIT},
    )
    files.save_checkpoint(tmp_path / "c.h5", saved)
    assert_same(saved, files.load_checkpoint(tmp_path / "c.h5"))
    assert files.checkpoint_fingerprint(tmp_path / "c.h5") == saved.fingerprint


@given(data=st.data(), sizes=st.lists(st.integers(1, 3), min_size=1, max_size=3))
@settings(examples, max_examples=8)
def test_mels_round_trip_in_batches(tmp_path, data, sizes):
    path = tmp_path / "m.h5"
    path.unlink(missing_ok=True)
    table = data.draw(tables(sum(sizes)))
    rng = np.random.default_rng(0)
    items = [
        AnalysedTrack(
            {c: getattr(table, c)[row] for c in Tracks.columns()},
            np.arange(k, dtype=float),
            np.full(k, 30.0),
            rng.random((k, 128, 599)).astype(np.float16),
        )
        for row, k in enumerate(rng.integers(1, 3, len(table)))
    ]
    broken = Failure("bad.mp3", "broken", 12, 34)
    for start, size in zip(np.cumsum([0, *sizes]), sizes, strict=False):
        with files.MelsWriter(path, audio_folder="/a", params={"n": 1}) as writer:
            writer.append(items[start : start + size])
            writer.set_failures([broken])
    mels = files.load_mels(path)
    assert_same(table, mels.tracks)
    assert mels.failures == files.load_failures(path) == [broken]
    assert (mels.audio_folder, mels.params) == ("/a", {"n": 1})
    stored = np.concatenate([item.mels for item in items])
    with files.MelsReader(path) as reader:
        for row in range(len(stored)):
            np.testing.assert_array_equal(reader.read(row), stored[row])
    np.testing.assert_array_equal(
        mels.excerpt_track, np.repeat(np.arange(len(items)), [len(i.start_s) for i in items])
    )


def test_a_changed_track_takes_the_place_of_the_old(tmp_path, mels_file):
    path = mels_file(tmp_path / "m.h5", 3)
    old = files.load_mels(path)
    columns = {c: getattr(old.tracks, c)[1] for c in Tracks.columns()} | {"title": "new", "size": 9}
    changed = AnalysedTrack(
        columns, np.array([1.0]), np.array([30.0]), np.ones((1, 128, 599), np.float16)
    )
    with files.MelsWriter(path, audio_folder="/music", params={}) as writer:
        writer.replace(1, changed)
    new = files.load_mels(path)
    assert new.tracks.title == ["title 0", "new", "title 2"]
    np.testing.assert_array_equal(new.tracks.size, [0, 9, 2])
    with files.MelsReader(path) as reader:
        assert (reader.read(1) == 1).all()
        assert not (reader.read(0) == 1).all()


def test_a_file_from_before_genres_is_read_and_gone_on_with(tmp_path, mels_file):
    path = mels_file(tmp_path / "m.h5", 3)
    with h5py.File(path, "r+") as file:
        del file["tracks/genre"]
        file.attrs["schema_version"] = 2
    assert files.load_mels(path).tracks.genre == [""] * 3
    new = AnalysedTrack(
        {c: getattr(files.load_mels(path).tracks, c)[0] for c in Tracks.columns()}
        | {"track_id": "new", "path": "new", "genre": "Polka"},
        np.array([85.0]),
        np.array([30.0]),
        np.ones((1, 128, 599), np.float16),
    )
    with files.MelsWriter(path, audio_folder="/music", params={}) as writer:
        writer.append([new])
    assert files.load_mels(path).tracks.genre == ["", "", "", "Polka"]
    assert files.describe(path)["schema_version"] == 4


def test_a_track_id_is_never_stored_twice(tmp_path, mels_file):
    path = mels_file(tmp_path / "m.h5", 2)
    held = files.load_mels(path).tracks
    columns = {c: getattr(held, c)[0] for c in Tracks.columns()}
    item = AnalysedTrack(columns, np.zeros(1), np.ones(1), np.ones((1, 128, 599), np.float16))
    writer = files.MelsWriter(path, audio_folder="/music", params={})
    with writer, pytest.raises(ValueError, match="occurs twice"):
        writer.append([item])
    assert len(files.load_mels(path).tracks) == 2


def test_the_wrong_kind_is_named(tmp_path, predictions_file):
    path = predictions_file(tmp_path / "p.h5")
    with pytest.raises(AudiorecError) as caught:
        files.load_factors(path)
    assert str(caught.value) == (
        f"{path} holds predictions, not factors: make factors with 'audiorec factorize LOG'"
    )


def test_finding_by_kind(here, predictions_file, mels_file):
    with pytest.raises(AudiorecError, match=r"no predictions file.*'audiorec predict'.*--pred"):
        files.find("predictions", "--predictions")
    mels_file("odd-name.h5", 1)
    (here / "broken.h5").write_bytes(b"nothing")
    predictions_file("one.hdf5")
    assert str(files.find("predictions", "--predictions")) == "one.hdf5"
    predictions_file("two.h5")
    with pytest.raises(AudiorecError, match=r"one\.hdf5, two\.h5: pick one by --predictions"):
        files.find("predictions", "--predictions")


@pytest.mark.parametrize("value", [3, np.zeros(4), h5py.Empty("f"), b"mels"])
def test_an_odd_kind_is_no_kind_and_stops_nothing(here, predictions_file, value):
    predictions_file("good.h5")
    with h5py.File("odd.h5", "w") as file:
        file.attrs["kind"] = value
    assert list(map(str, files.find_all("predictions"))) == ["good.h5"]
