"""audiorec mels is never lost: killed, or on a full disk, it goes on where it was."""

import contextlib
import os
import random
import resource
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import soundfile

from audiorec_cli import files

N_FILES = 120
# Stores what it did twenty times a second, so that a short run has many moments to be killed at.
SCRIPT = """
import sys
from audiorec_cli.cli import main
from audiorec_cli.commands import analysing
analysing.SECONDS_BETWEEN_WRITES = 0.05
sys.exit(main(["mels", "audio", *sys.argv[1:]]))
"""
COMMAND = [sys.executable, "-c", SCRIPT]
START_S = 1.5  # about what it takes until something is stored
SMALL_DISK_MIB = 17  # an empty file wants 16 free; 118 spectrograms want 18


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """A folder with 120 files, two of them no audio, and what mels makes of it in whole.h5."""
    folder = tmp_path_factory.mktemp("library")
    (folder / "audio").mkdir()
    rng = np.random.default_rng(0)
    for i in range(N_FILES - 2):
        samples = 0.1 * rng.normal(size=4 * 16_000)
        soundfile.write(folder / f"audio/{i:03}.flac", samples, 16_000)
    for name in ("050.mp3", "cover.jpg"):
        (folder / "audio" / name).write_bytes(b"no audio")
    subprocess.run([*COMMAND, "whole.h5"], cwd=folder, check=True, capture_output=True)
    return folder


def contents(path):
    """Everything that a mels file holds, but for the command that made it."""
    mels = files.load_mels(path)
    with files.MelsReader(path) as reader:
        spectrograms = [reader.read(row).tobytes() for row in range(len(mels.excerpt_track))]
    columns = {c: list(getattr(mels.tracks, c)) for c in mels.tracks.columns()}
    return columns, list(mels.start_s), list(mels.sound_s), mels.failures, spectrograms


def start(folder, out, workers=2):
    """The command at work, in a process group of its own, as a shell starts it."""
    return subprocess.Popen(
        [*COMMAND, out, "--workers", str(workers)],
        cwd=folder,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def kill(running):
    with contextlib.suppress(ProcessLookupError):
        os.killpg(running.pid, signal.SIGKILL)
    running.communicate()


def stored(path):
    """Number of tracks and failures in a mels file."""
    rows = files.describe(path)["rows"]
    return rows["tracks"] + rows["failures"]


def wait_for_growth(running, out, chance, whole_bytes):
    """Wait until a random part of what the file lacks is stored, and a moment more.

    By the clock a busy machine would be found where it starts, time after time.
    """
    held_bytes = out.stat().st_size if out.exists() else 0
    wanted_bytes = chance.uniform(held_bytes, whole_bytes)
    while running.poll() is None and (not out.exists() or out.stat().st_size < wanted_bytes):
        time.sleep(0.005)
    time.sleep(chance.uniform(0, 0.1))


def test_killed_at_twenty_random_moments_it_ends_as_if_undisturbed(library):
    chance, out = random.Random(0), library / "killed.h5"
    n_stored, n_gains = 0, 0
    for number in range(20):
        running = start(library, out, workers=1 + number % 2)
        if chance.random() < 0.25:
            time.sleep(chance.uniform(0, START_S))
        else:
            wait_for_growth(running, out, chance, (library / "whole.h5").stat().st_size)
        kill(running)
        if out.exists():
            n_now = stored(out)
            assert n_now >= n_stored, "what was stored is lost"
            n_gains += n_now > n_stored
            n_stored = n_now
        if n_stored == N_FILES:
            assert contents(out) == contents(library / "whole.h5")
            out.unlink()
            n_stored = 0
    assert n_gains >= 3
    subprocess.run([*COMMAND, out], cwd=library, check=True, capture_output=True)
    assert contents(out) == contents(library / "whole.h5")


@pytest.fixture
def small_disk(tmp_path):
    """A folder on a file system of its own that is soon full, and what makes it larger."""
    options = f"size={SMALL_DISK_MIB}m"
    mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", tmp_path]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted here")
    yield tmp_path, ["mount", "-o", "remount,size=64m", tmp_path]
    subprocess.run(["umount", "-l", tmp_path], check=True)


def test_a_full_disk_loses_nothing_and_with_room_it_goes_on(library, small_disk):
    folder, enlarge = small_disk
    out = folder / "out.h5"
    for _ in range(2):
        full = subprocess.run([*COMMAND, out], cwd=library, capture_output=True, text=True)
        assert full.returncode == 1
        assert full.stderr.splitlines()[-1] == (
            f"error: {out} cannot be written: No space left on device: make room, then run the "
            "same command again; what was stored before is kept"
        )
        assert 20 < stored(out) < N_FILES
    subprocess.run(enlarge, check=True)
    done = subprocess.run([*COMMAND, out], cwd=library, capture_output=True, text=True)
    assert done.returncode == 0
    assert contents(out) == contents(library / "whole.h5")


def test_a_file_that_may_grow_no_more_loses_nothing(library):
    """The double of a full disk, for where no file system can be mounted."""
    out, n_bytes = library / "limited.h5", 8 * 2**20
    limited = subprocess.run(
        [*COMMAND, out],
        cwd=library,
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, n_bytes)),
    )
    assert limited.returncode == 1
    assert "cannot be written: File too large" in limited.stderr
    assert 20 < stored(out) < N_FILES
    subprocess.run([*COMMAND, out], cwd=library, check=True, capture_output=True)
    assert contents(out) == contents(library / "whole.h5")


def test_a_second_run_on_one_output_says_so_and_stops(library):
    first = start(library, "busy.h5")
    while not (library / "busy.h5").exists():
        assert first.poll() is None
        time.sleep(0.02)
    second = subprocess.run([*COMMAND, "busy.h5"], cwd=library, capture_output=True, text=True)
    assert second.returncode == 1
    assert f"busy.h5 is in use by process {first.pid}: wait until" in second.stderr
    first.communicate()
    assert first.returncode == 0
    assert contents(library / "busy.h5") == contents(library / "whole.h5")
