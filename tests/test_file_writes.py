"""What a file holds is not lost: to a stop, a full disk, or a second writer."""

import errno
import io
import itertools
import os
import signal
import subprocess
import sys
import time
import traceback

import h5py
import numpy as np
import pytest

from audiorec_cli import files
from audiorec_cli.errors import AudiorecError
from audiorec_cli.files import journal
from audiorec_cli.records import AnalysedTrack, Tracks


def test_a_killed_writer_loses_nothing_that_it_stored(tmp_path):
    path = tmp_path / "m.h5"
    script = f"""
import numpy as np
from audiorec_cli import files
from audiorec_cli.records import AnalysedTrack
with files.MelsWriter({str(path)!r}, audio_folder="/a", params={{}}) as writer:
    for i in range(10_000):
        columns = dict(track_id=str(i), path=str(i), title="", artist="", album="",
                       duration_s=1.0, size=1, mtime_ns=1, isrc="", mbid="", genre="")
        mel = np.full((1, 128, 599), i % 100, np.float16)
        writer.append([AnalysedTrack(columns, np.zeros(1), np.ones(1), mel)])
        print(i, flush=True)
"""
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        while int(writer.stdout.readline()) < 20:
            pass
        time.sleep(0.05)
        os.kill(writer.pid, signal.SIGKILL)
        last = [20, *map(int, writer.stdout.read().split())][-1]
    mels = files.load_mels(path)
    assert len(mels.tracks) >= last + 1
    with files.MelsReader(path) as reader:
        for row in range(len(mels.tracks)):
            assert (reader.read(row) == row % 100).all()


def test_a_second_writer_is_told_who_holds_the_file(tmp_path, mels_file):
    path = mels_file(tmp_path / "m.h5", 1)
    script = (
        "import sys; from audiorec_cli import files\n"
        f"with files.MelsWriter({str(path)!r}, audio_folder='/a', params={{}}):\n"
        "    print('open', flush=True); sys.stdin.read()"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", script], **pipes) as first:
        assert first.stdout.readline() == b"open\n"
        with pytest.raises(AudiorecError, match=f"in use by process {first.pid}"):
            files.MelsWriter(path, audio_folder="/a", params={})


def test_ctrl_c_does_not_cut_an_append_in_two(tmp_path, mels_file, monkeypatch):
    path = mels_file(tmp_path / "m.h5", 2)
    held = files.load_mels(path).tracks
    columns = {c: getattr(held, c)[0] for c in Tracks.columns()} | {"track_id": "new"}
    item = AnalysedTrack(columns, np.zeros(1), np.ones(1), np.ones((1, 128, 599), np.float16))
    resize = h5py.Dataset.resize
    resized = []

    def interrupted(dataset, *arguments, **options):
        resized.append(dataset.name)
        os.kill(os.getpid(), signal.SIGINT)
        return resize(dataset, *arguments, **options)

    monkeypatch.setattr(h5py.Dataset, "resize", interrupted)
    with (
        pytest.raises(KeyboardInterrupt),
        files.MelsWriter(path, audio_folder="/music", params={}) as writer,
    ):
        writer.append([item])
    assert len(resized) == len(Tracks.columns()) + 4
    assert files.load_mels(path).tracks.track_id == [*held.track_id, "new"]


def append_and_die(path, last_step):
    """Append 40 tracks in a process of its own, which ends amid the write, behind that many steps.

    Returns its exit status: 9 where it ended so, 0 where the append had returned.
    """
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    steps = itertools.count(1)

    def step(function):
        def counted(*arguments):
            if next(steps) > last_step:
                os._exit(9)
            return function(*arguments)

        return counted

    def items():
        for i in range(40):
            columns = dict.fromkeys(Tracks.columns(), "") | {"duration_s": 1.0, "size": 1}
            columns |= {"mtime_ns": 1, "track_id": f"new {i}", "path": f"new {i}", "title": "t" * i}
            mels = np.full((1, 128, 599), i, np.float16)
            yield AnalysedTrack(columns, np.zeros(1), np.ones(1), mels)

    try:
        with files.MelsWriter(path, audio_folder="/music", params={}) as writer:
            for name in ("_write_page", "_write_journal", "_carry_out"):
                setattr(journal, name, step(getattr(journal, name)))
            journal.Path.unlink = step(journal.Path.unlink)
            writer.append(list(items()))
            os._exit(0)  # and nothing is closed
    finally:
        traceback.print_exc()
        os._exit(1)


def test_a_kill_at_any_step_of_a_write_leaves_all_of_it_or_nothing(tmp_path, mels_file):
    original = mels_file(tmp_path / "m.h5", 3).read_bytes()
    path = tmp_path / "killed.h5"
    outcomes = set()
    for last_step in (*range(0, 200, 9), *range(90, 130, 4), 10_000):
        path.write_bytes(original)
        status = append_and_die(path, last_step)
        n_tracks = len(files.load_mels(path).tracks)
        outcomes.add((status, n_tracks))
        table = files.load_mels(path).tracks
        columns = {c: getattr(table, c)[0] for c in Tracks.columns()} | {"track_id": "after"}
        after = AnalysedTrack(
            columns, np.zeros(1), np.ones(1), np.full((1, 128, 599), 7, np.float16)
        )
        with files.MelsWriter(path, audio_folder="/music", params={}) as writer:
            writer.append([after])
        assert files.load_mels(path).tracks.track_id[-1] == "after"
        with files.MelsReader(path) as reader:
            assert (reader.read(n_tracks) == 7).all()
    # of (9, 43) the journal was carried out by the next to open the file
    assert outcomes == {(9, 3), (9, 43), (0, 43)}
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("function", ["_reserve", "_write_page", "_write_journal"])
def test_a_disk_that_fills_up_is_one_line_and_loses_nothing(
    tmp_path, mels_file, monkeypatch, function
):
    path = mels_file(tmp_path / "m.h5", 2)
    held = files.load_mels(path).tracks
    columns = {c: getattr(held, c)[0] for c in Tracks.columns()} | {"track_id": "new"}
    item = AnalysedTrack(columns, np.zeros(1), np.ones(1), np.ones((1, 128, 599), np.float16))

    def full(*arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with (
        pytest.raises(AudiorecError, match=r"m\.h5 cannot be written: No space left.*make room"),
        files.MelsWriter(path, audio_folder="/music", params={}) as writer,
    ):
        monkeypatch.setattr(journal, function, full)
        writer.append([item])
    monkeypatch.undo()
    assert files.load_mels(path).tracks.track_id == held.track_id


def test_a_disk_that_takes_only_a_part_of_a_write_gets_the_rest(tmp_path, mels_file, monkeypatch):
    """As the last write that fits on a nearly full disk."""

    class Reluctant(io.FileIO):
        def write(self, data):
            return super().write(memoryview(data)[:1000])

    def opened(path, mode, buffering=-1):
        return Reluctant(path, "r+") if buffering == 0 else open(path, mode)

    monkeypatch.setattr(journal, "open", opened, raising=False)
    path, rng = tmp_path / "m.h5", np.random.default_rng(1)
    mels = rng.random((4, 128, 599))
    mels_file(path, mels=mels)
    monkeypatch.undo()
    with files.MelsReader(path) as reader:
        for row, mel in enumerate(mels.astype(np.float16)):
            np.testing.assert_array_equal(reader.read(row), mel)


def test_a_journal_that_finds_no_room_waits_for_it(tmp_path, mels_file, monkeypatch):
    path = mels_file(tmp_path / "m.h5", 2)
    with open(path, "rb") as file:
        page = file.read(journal.PAGE_BYTES).ljust(journal.PAGE_BYTES, b"\0")
        journal._write_journal(journal.journal_of(path), file, {0: page}, path.stat().st_size)

    def full(*arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(journal, "_write_page", full)
    with pytest.raises(AudiorecError, match=r"journal to carry out.*make room"):
        files.load_mels(path)
    monkeypatch.undo()
    assert len(files.load_mels(path).tracks) == 2
    assert not journal.journal_of(path).exists()


def test_a_journal_of_another_file_is_thrown_away(tmp_path, mels_file):
    path = mels_file(tmp_path / "m.h5", 2)
    with open(path, "r+b") as other:
        journal._write_journal(tmp_path / "x", other, {0: bytes(journal.PAGE_BYTES)}, 5)
    copy = tmp_path / "copy.h5"
    copy.write_bytes(path.read_bytes())
    (tmp_path / "x").rename(journal.journal_of(copy))
    assert len(files.load_mels(copy).tracks) == 2
    assert not journal.journal_of(copy).exists()


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, predictions_file):
    path = predictions_file(tmp_path / "p.h5")
    before, predictions = path.read_bytes(), files.load_predictions(path)
    predictions.tracks.title[0] = 7  # no text: writing breaks off half-way
    with pytest.raises(AttributeError):
        files.save_predictions(path, predictions)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["p.h5"]


def test_a_full_disk_is_told_before_writing(tmp_path, predictions_file, monkeypatch):
    path = predictions_file(tmp_path / "p.h5")
    predictions = files.load_predictions(path)
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr("shutil.disk_usage", lambda folder: usage)
    with pytest.raises(AudiorecError, match=r"MiB free and .* needed: make room"):
        files.save_predictions(path, predictions)
