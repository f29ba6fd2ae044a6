"""Workers that hang, die or fail: the rest goes on, in order."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from audiorec_cli import workers
from audiorec_cli.audio.analysis import WORKER_MODULES
from audiorec_cli.workers import Lost, supervised_map

AUDIOREC = Path(sys.executable).with_name("audiorec")


def nothing():
    """What a worker needs before it begins."""


def start_late():
    """The first worker that asks takes longer to start than others to work."""
    with contextlib.suppress(FileExistsError):
        os.mkdir("late")
        time.sleep(2)


def double(item):
    """Takes long over 3; dies the first time over a file's name, if there is such a file."""
    if item == 3:
        time.sleep(2)
    if isinstance(item, str) and os.path.exists(item):
        os.unlink(item)
        os.kill(os.getpid(), signal.SIGKILL)
    return item * 2


def replace_late():
    """The third worker, in the place of a dead one, starts well after item 6 was done."""
    for n in range(3):
        with contextlib.suppress(FileExistsError):
            os.mkdir(f"start {n}")
            break
    if n == 2:
        while not os.path.exists("6 is done"):
            time.sleep(0.05)
        time.sleep(2)


def tell_of_6(item):
    if item == 6:
        os.mkdir("6 is done")
    return double(item)


def is_loaded(module):
    return module in sys.modules


def hang_or_die(item):
    if item == "hangs":
        time.sleep(600)
    return double(item)


def fail(item):
    raise ZeroDivisionError(f"no way with {item}")


def run(function, items, **options):
    options = {"workers": 2, "time_limit_s": 60, "prepare": nothing} | options
    return list(supervised_map(function, items, **options))


def test_results_come_in_order():
    assert run(double, range(150)) == [(i, 2 * i) for i in range(150)]


def test_what_takes_long_is_overtaken(monkeypatch):
    monkeypatch.setattr(workers, "HELD_UP_S", 0.2)
    items = [item for item, _ in run(double, range(40))]
    assert sorted(items) == list(range(40))
    assert items[:3] == [0, 1, 2]
    assert 3 in items[-2:]  # one may wait behind it for the same worker


def test_what_waits_for_its_worker_to_start_is_not_overtaken(monkeypatch, here):
    monkeypatch.setattr(workers, "HELD_UP_S", 1.0)
    items = [item for item, _ in run(double, [0, 1, 2, 4, 5, 6], prepare=start_late)]
    assert items == [0, 1, 2, 4, 5, 6]


def test_what_was_handed_back_by_a_dead_worker_is_overtaken(monkeypatch, here):
    monkeypatch.setattr(workers, "HELD_UP_S", 0.2)
    path = str(here / "dies")
    open(path, "w").close()
    items = [item for item, _ in run(tell_of_6, [path, 1, 2, 4, 5, 6], prepare=replace_late)]
    assert items == [2, 4, 5, 6, path, 1]


def test_a_worker_that_dies_once_over_an_item_tries_again(tmp_path):
    path = str(tmp_path / "dies")
    open(path, "w").close()
    assert run(double, [1, path, 2]) == [(1, 2), (path, path * 2), (2, 4)]


def test_what_takes_too_long_is_lost_and_nothing_else():
    assert run(double, range(6), time_limit_s=1) == [
        (i, 2 * i if i != 3 else Lost.TIMED_OUT) for i in range(6)
    ]


def test_what_waits_behind_a_hanging_item_keeps_its_second_try(tmp_path):
    path = str(tmp_path / "dies")
    open(path, "w").close()
    results = run(hang_or_die, ["hangs", path], workers=1, time_limit_s=1)
    assert results == [("hangs", Lost.TIMED_OUT), (path, path * 2)]


def test_an_exception_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError, match="no way with 7") as caught:
        run(fail, [7])
    assert "in fail" in caught.value.__notes__[0]


def test_nothing_to_do_needs_no_worker():
    assert run(double, []) == []


@pytest.mark.parametrize(
    "command",
    ["mels audio out.h5", "train --epochs 1 --batch-size 4 --device cpu"],
)
def test_files_of_the_current_folder_are_no_modules(
    here, write_tone, mels_file, factors_file, command
):
    write_tone("audio/a.wav", 4.0)
    mels_file("mels.h5")
    factors_file("factors.h5")
    for name in ("numpy", "pickle", "socket", "tempfile", "torch"):
        (here / f"{name}.py").write_text("open('was imported', 'w'); raise ImportError")
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}
    done = subprocess.run(
        [AUDIOREC, *command.split()], env=variables, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert not os.path.exists("was imported")


def test_they_begin_with_their_modules_loaded():
    modules = [*WORKER_MODULES, *workers.LOADER_MODULES]
    held = dict(run(is_loaded, modules))
    assert held == dict.fromkeys(modules, sys.platform == "linux")


def test_without_a_place_for_a_socket_they_start_all_the_same(here, write_tone):
    write_tone("audio/a.wav", 4.0)
    folder = here / ("long" * 40)
    folder.mkdir()
    done = subprocess.run(
        [AUDIOREC, "mels", "audio", "out.h5"],
        env={**os.environ, "TMPDIR": str(folder)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "out.h5: 1 track: 1 new" in done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a process is spawned")
def test_a_loader_without_a_place_for_a_socket_says_so(here, mels_file, factors_file):
    mels_file("mels.h5")
    factors_file("factors.h5")
    folder = here / ("long" * 40)
    folder.mkdir()
    done = subprocess.run(
        [AUDIOREC, *["train", "--epochs", "1", "--batch-size", "4", "--device", "cpu"]],
        env={**os.environ, "TMPDIR": str(folder)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        f"error: {folder}: no socket can be made there, which the loading process needs: set "
        "TMPDIR to another folder, such as /tmp"
    )


def test_all_processes_end_with_the_one_that_started_them(here):
    script = """
import time
from audiorec_cli import workers

def tell():
    print("at work", flush=True)
    time.sleep(600)

if __name__ == "__main__":
    context = workers.process_context([])
    pool = workers.process_pool(context, 1)
    with workers.starting_processes(context):
        pool.submit(tell)
    time.sleep(600)
"""
    (here / "script.py").write_text(script)
    command = [sys.executable, "script.py"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout.readline() == "at work\n"
        parent.kill()
        parent.communicate(timeout=30)  # the end of what they all hold open
