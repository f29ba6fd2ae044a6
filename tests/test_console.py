"""What people and pipes see."""

import json
import os
import pty
import re
import subprocess
import sys
import termios

import pytest

from audiorec_cli import console, files
from audiorec_cli.console import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Beyoncé – Halo 宇多田 🎵", "Beyoncé – Halo 宇多田 🎵"),
        ("a\x1b[31mred", r"a\x1b[31mred"),
        ("two\nlines\ttab", r"two\nlines\ttab"),
        ("\u202egpj", r"\u202egpj"),
        ("no\u00a0break", "no break"),
        ("bad\udcffbyte", r"bad\udcffbyte"),
    ],
)
def test_nothing_printed_can_steer_a_terminal(text, shown):
    assert printable(text) == shown


def in_a_terminal(*arguments, status=0, **environment):
    """Run audiorec with stdout and stderr on a pseudo-terminal; returns what it shows."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (30, 100))
    with subprocess.Popen(
        [sys.executable, "-m", "audiorec_cli", *arguments],
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm", **environment},
    ) as process:
        os.close(theirs)
        shown = b""
        while True:
            try:
                piece = os.read(ours, 4096)
            except OSError:
                break
            if not piece:
                break
            shown += piece
    os.close(ours)
    assert process.returncode == status
    return shown.decode()


def test_a_table_on_a_terminal_and_tabs_in_a_pipe(here, predictions_file, audiorec):
    predictions_file("p.h5")
    shown = in_a_terminal("similar", "title 1", "-k", "2")
    assert "folder/" not in shown  # there is no room for paths
    assert "\t" not in shown.replace("\r\n", "\n")
    assert "artist 1" in shown
    _, out, err = audiorec("similar", "title 1", "-k", 2)
    assert all(line.count("\t") == 5 for line in out.splitlines())
    assert "using p.h5" in err


def test_no_color_is_honoured(here, predictions_file):
    predictions_file("p.h5")
    (here / "p.h5").rename("a.h5")
    predictions_file("b.h5")
    red = "\x1b[1;31m"
    assert red in in_a_terminal("similar", "title 1", status=1)
    assert red not in in_a_terminal("similar", "title 1", status=1, NO_COLOR="1")


def test_progress_is_a_bar_on_a_terminal_and_lines_elsewhere(
    here, mels_file, checkpoint_file, audiorec, loading_in_process
):
    mels_file("mels.h5")
    checkpoint_file("model.h5")
    assert "6/6" in in_a_terminal("predict", "--device", "cpu")
    _, _, err = audiorec("predict", "--device", "cpu")
    line = [line for line in err.splitlines() if line.startswith("predict: ")][-1]
    assert line.startswith("predict: 6 of 6, ")
    assert "excerpts/s" in line


def test_a_slow_rate_reads_as_seconds_a_unit(capsys, monkeypatch):
    clock = iter([0.0, 9.0])
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    with console.progress("baselines", total=5, unit="models") as advance:
        monkeypatch.setattr("time.monotonic", lambda: 9.0)
        advance(2)
    assert "4.50s/models" in capsys.readouterr().err


def test_json_is_json(here, predictions_file, audiorec):
    predictions_file("p.h5")
    _, out, _ = audiorec("similar", "title 1", "-k", 2, "--json")
    first, _ = json.loads(out)
    assert first["rank"] == 1
    assert first["score"] == pytest.approx(1)


def test_a_closed_pipe_is_no_traceback(here, predictions_file):
    predictions_file("p.h5")
    command = f"{sys.executable} -m audiorec_cli similar 'title 1' | true"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr


def test_info_tells_what_a_file_is(here, mels_file, audiorec):
    mels_file("m.h5")
    status, out, _ = audiorec("info", "m.h5")
    told = dict(line.split("\t") for line in out.splitlines()[1:])
    assert status == 0
    assert told["kind"] == "mels"
    assert told["tracks"] == "6"
    assert told["settings.hop_length"] == "1102"
    assert told["datasets.mels"] == "(6, 128, 599) float16"
    assert told["created_by"].startswith("audiorec 0")
    _, out, _ = audiorec("info", "m.h5", "--json")
    told = json.loads(out)
    assert told["rows"] == {"tracks": 6, "excerpts": 6, "failures": 0}
    assert told["settings"]["hop_length"] == 1102


def test_titles_reach_a_pipe_that_has_no_letters_for_them(here, predictions_file):
    predictions = files.load_predictions(predictions_file("p.h5"))
    predictions.tracks.title[3] = "Café 宇多田"
    files.save_predictions("p.h5", predictions)
    done = subprocess.run(
        [sys.executable, "-m", "audiorec_cli", "similar", "folder/3", "-k", "1"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
    )
    assert done.returncode == 0
    assert r"Caf\xe9" in done.stdout


def run_in_shell(redirection, *arguments):
    """Run audiorec with its streams redirected by a shell; returns status and stderr."""
    command = f"{sys.executable} -m audiorec_cli {' '.join(arguments)} {redirection}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    return done.returncode, done.stderr


@pytest.mark.parametrize("arguments", [("similar", "folder/1"), ("similar", "folder/1", "-o", "-"),
                                       ("info", "p.h5")])  # fmt: skip
def test_a_full_stdout_is_one_line(here, predictions_file, arguments):
    predictions_file("p.h5")
    status, err = run_in_shell(">/dev/full", *arguments)
    assert status == 1
    assert err.splitlines()[-1] == (
        "error: the results cannot be written to stdout: No space left on device: "
        "send them elsewhere"
    )


@pytest.mark.parametrize("redirection", ["2>/dev/full", "2>&-", ">&-", "</dev/null"])
def test_odd_streams_do_not_stop_the_work(here, predictions_file, redirection):
    predictions_file("p.h5")
    assert run_in_shell(redirection, "similar", "folder/1", "-o", "list.m3u8")[0] == 0
    assert (here / "list.m3u8").exists()


def test_a_name_that_is_too_long_is_one_line(here, predictions_file, audiorec):
    predictions_file("p.h5")
    assert audiorec("similar", "folder/1", "-o", "a" * 245 + ".m3u8")[0] == 0
    status, _, err = audiorec("similar", "folder/1", "-o", "a" * 300 + ".m3u8")
    assert status == 1
    assert re.search(r"^error: a+.m3u8: File name too long: name another path", err, re.M)
