"""What every command promises: help, one line for a failure, nothing half-written, Ctrl-C."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import typer

from audiorec_cli import files
from audiorec_cli.cli import app

ARGUMENTS = {
    "mels": ("audio", "out.h5"),
    "factorize": ("log.tsv", "--factors", 2),
    "concat": ("factors.h5", "more.h5", "--out", "both.h5"),
    "train": ("--epochs", 1, "--batch-size", 4, "--lr", 0.001, "--device", "cpu"),
    "predict": ("--device", "cpu"),
    "evaluate": ("--no-baselines",),
    "similar": ("title 1",),
    "recommend": ("u",),
    "audience": ("title 23",),
    "outliers": (),
    "top-activations": ("--device", "cpu"),
    "filters": ("--device", "cpu"),
    "page": ("page", "--device", "cpu"),
    "map": (),
    "export": ("factors.parquet",),
    "info": ("mels.h5",),
    "demo": ("demo",),
}
# What each command reads from the current folder.
READS = {
    "mels": ("audio",),
    "factorize": ("log.tsv",),
    "concat": ("factors.h5", "more.h5"),
    "train": ("mels.h5", "factors.h5"),
    "predict": ("mels.h5", "model.h5"),
    "evaluate": ("mels.h5", "factors.h5", "model.h5", "predictions.h5"),
    "similar": ("predictions.h5",),
    "recommend": ("factors.h5", "predictions.h5"),
    "audience": ("factors.h5", "predictions.h5"),
    "outliers": ("factors.h5", "predictions.h5"),
    "top-activations": ("mels.h5", "model.h5"),
    "filters": ("model.h5",),
    "page": ("mels.h5", "model.h5", "predictions.h5"),
    "map": ("predictions.h5",),
    "export": ("predictions.h5",),
    "info": ("mels.h5",),
    "demo": (),
}
WRITES = {"mels": "out.h5", "factorize": "factors.h5", "concat": "both.h5", "train": "model.h5",
          "predict": "predictions.h5"}  # fmt: skip
OUTPUTS = {**WRITES, "filters": "filters.png", "map": "map.png", "export": "factors.parquet"}
OPTION = {"mels.h5": "--mels", "factors.h5": "--factors", "model.h5": "--checkpoint",
          "predictions.h5": "--predictions"}  # fmt: skip
COMMANDS = typer.main.get_command(app).commands


@pytest.fixture
def folder(here, write_tone, mels_file, factors_file, checkpoint_file, predictions_file):
    """Makes what a command reads, and nothing else, in the current folder."""

    def make(command):
        makers = {
            "audio": lambda: [write_tone(f"audio/{i}.wav", 4.0, hz=200 + i) for i in range(2)],
            "log.tsv": lambda: (here / "log.tsv").write_text(
                "user_id\ttrack_id\tplays\n"
                + "".join(f"u{u}\tt{t}\t{1 + u * t % 3}\n" for u in range(6) for t in range(5))
            ),
            "mels.h5": lambda: mels_file("mels.h5"),
            "factors.h5": lambda: factors_file("factors.h5"),
            "more.h5": lambda: factors_file("more.h5"),
            "model.h5": lambda: checkpoint_file("model.h5"),
            "predictions.h5": lambda: predictions_file("predictions.h5"),
        }
        if command == "evaluate":
            makers["predictions.h5"] = lambda: predictions_file(
                "predictions.h5",
                files.load_factors("factors.h5").track_factors,
                files.load_checkpoint("model.h5").fingerprint,
            )
        if READS[command] == ("factors.h5", "predictions.h5"):
            # two tracks more than the log has, in the space of its factors
            makers["factors.h5"] = lambda: factors_file("factors.h5", 22)
            makers["predictions.h5"] = lambda: predictions_file(
                "predictions.h5", np.eye(3, dtype=np.float32)[np.arange(24) % 3]
            )
        for name in READS[command]:
            makers[name]()
        return here

    return make


def tree(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*"))


def contents(folder):
    return {p: p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def assert_one_line(status, out, err):
    """A failure: status 1, nothing on stdout, a last line that is the only error."""
    assert status == 1
    assert out == ""
    assert [line for line in err.splitlines() if line.startswith("error: ")] == [
        err.splitlines()[-1]
    ]
    assert "Traceback" not in err


def test_the_contract_covers_every_command():
    assert set(COMMANDS) == set(ARGUMENTS) == set(READS)


@pytest.mark.parametrize("command", ARGUMENTS)
def test_help_explains_every_parameter(audiorec, command):
    status, out, _ = audiorec(command, "--help")
    assert status == 0
    for parameter in COMMANDS[command].params:
        assert parameter.help, parameter.name
        assert max(parameter.opts, key=len).lstrip("-").upper() in out.upper().replace("_", "-")


@pytest.mark.parametrize("command", [c for c in ARGUMENTS if c != "demo"])
def test_it_works_and_writes_what_it_says(folder, audiorec, command):
    here = folder(command)
    before = set(tree(here))
    status, _, err = audiorec(command, *ARGUMENTS[command])
    assert status == 0, err
    written = {OUTPUTS[command]} if command in OUTPUTS else set()
    if command == "page":
        written = {"page", "page/index.html"}
    assert set(tree(here)) - before == written
    assert "WARNING" not in err.upper()


@pytest.mark.parametrize(
    ("command", "missing"),
    # of what page and evaluate read, the predictions that are not there are made
    [
        (c, name)
        for c in READS
        for name in READS[c]
        if name != "predictions.h5" or c not in ("page", "evaluate")
    ],
)
def test_a_missing_input_is_one_line_with_the_remedy(folder, audiorec, command, missing):
    here = folder(command)
    if missing == "audio":
        (here / "audio").rename(here / "elsewhere")
    else:
        (here / missing).unlink()
    before = tree(here)
    status, out, err = audiorec(command, *ARGUMENTS[command])
    assert_one_line(status, out, err)
    assert "no such f" in err or "make one with 'audiorec" in err
    assert tree(here) == before


@pytest.mark.parametrize(
    ("command", "named"),
    [
        ("similar", ("mels.h5",)),
        ("recommend", ("model.h5",)),
        ("audience", ("model.h5",)),
        ("outliers", ()),
        ("page", ("mels.h5", "model.h5")),
        ("evaluate", ("mels.h5", "model.h5")),
        ("export", ()),
        ("map", ()),
    ],
)
def test_predictions_that_are_not_there_are_made_of_what_is_named(
    folder, audiorec, mels_file, checkpoint_file, command, named
):
    here = folder(command)
    (here / "elsewhere").mkdir()
    (here / "predictions.h5").unlink()
    makers = {"mels.h5": mels_file, "model.h5": checkpoint_file}
    arguments = list(ARGUMENTS[command])
    for name, make in makers.items():
        if name in named:
            make(here / "elsewhere" / name)
            arguments += [OPTION[name], f"elsewhere/{name}"]
        if not (here / name).exists():
            make(here / name)
    if command == "similar":
        arguments += ["--duplicates", "drop"]
    _, _, err = audiorec(command, *arguments)
    assert "no predictions yet: making them" in err
    made = files.load_predictions(here / "predictions.h5")
    for name in makers:
        where = "elsewhere/" if name in named else ""
        assert made.params[OPTION[name].removeprefix("--")] == str(here / f"{where}{name}")


@pytest.mark.parametrize(
    ("command", "spoilt"), [(c, name) for c in READS for name in READS[c] if name in OPTION]
)
@pytest.mark.parametrize("how", ["truncated", "text", "wrong kind", "newer"])
def test_a_spoilt_input_is_one_line(
    folder, audiorec, command, spoilt, how, predictions_file, factors_file
):
    import h5py

    here = folder(command)
    path = here / spoilt
    if how == "truncated":
        path.write_bytes(path.read_bytes()[:3000])
    elif how == "text":
        path.write_text("hello")
    elif how == "wrong kind":
        path.unlink()
        (factors_file if spoilt == "predictions.h5" else predictions_file)(path)
    else:
        with h5py.File(path, "r+") as file:
            file.attrs["schema_version"] = 99
    before = contents(here)
    named = () if spoilt in ARGUMENTS[command] else (OPTION[spoilt], spoilt)
    if command == "info" and how == "wrong kind":
        pytest.skip("info takes any kind")
    status, out, err = audiorec(command, *ARGUMENTS[command], *named)
    assert_one_line(status, out, err)
    assert spoilt in err.splitlines()[-1]
    assert contents(here) == before


@pytest.mark.parametrize("command", WRITES)
def test_an_output_that_is_something_else_is_left_alone(folder, audiorec, command, here):
    folder(command)
    (here / WRITES[command]).write_text("my diary")
    status, out, err = audiorec(command, *ARGUMENTS[command])
    assert_one_line(status, out, err)
    assert re.search(r"exists and holds no \w+: name another file to write", err)
    assert (here / WRITES[command]).read_text() == "my diary"


@pytest.mark.parametrize("command", [c for c in OUTPUTS if c != "mels"])
def test_an_output_folder_that_is_not_there_is_one_line(folder, audiorec, command):
    folder(command)
    out = f"no/such/{OUTPUTS[command]}"
    arguments = ARGUMENTS[command]
    if command == "factorize":
        arguments = (arguments[0], out, *arguments[1:])
    elif command == "export":
        arguments = (out,)
    else:
        arguments = (*arguments, "--out", out)
    status, printed, err = audiorec(command, *arguments)
    assert_one_line(status, printed, err)
    assert "no/such: no such folder" in err


@pytest.mark.parametrize("command", [c for c in OUTPUTS if c != "mels"])
def test_ctrl_c_leaves_nothing_half_written(folder, audiorec, command, monkeypatch, quick_training):
    here = folder(command)
    before = contents(here)
    replace = os.replace

    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("os.replace", interrupted)
    status, out, _ = audiorec(command, *ARGUMENTS[command])
    monkeypatch.setattr("os.replace", replace)
    assert (status, out) == (130, "")
    assert contents(here) == before


def test_ctrl_c_right_after_demo_made_its_folder_leaves_none(here, audiorec, monkeypatch):
    mkdir = Path.mkdir

    def interrupted(path, *arguments, **options):
        mkdir(path, *arguments, **options)
        if path.name == ".unfinished":
            raise KeyboardInterrupt

    monkeypatch.setattr(Path, "mkdir", interrupted)
    assert audiorec("demo", "demo")[0] == 130
    assert not (here / "demo").exists()


@pytest.mark.parametrize("command", ["mels", "train", "demo"])
@pytest.mark.parametrize("seconds", [0.7, 2.0])
def test_ctrl_c_at_any_moment_is_quiet(folder, command, seconds):
    folder(command)
    process = subprocess.Popen(
        [sys.executable, "-m", "audiorec_cli", command, *map(str, ARGUMENTS[command])],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with process:
        time.sleep(seconds)
        os.killpg(process.pid, signal.SIGINT)
        err = process.stderr.read()
    assert "Traceback" not in err
    assert "Error" not in err
    # Python may end itself by the signal, which a shell shows as 130 too
    assert process.returncode in (0, 130, -signal.SIGINT)
    if process.returncode and command == "demo":
        assert not os.path.exists("demo")


def test_ctrl_c_while_the_program_loads_is_quiet():
    script = (
        "import sys\n"
        "class Interrupted:\n"
        "    def find_spec(self, name, *rest):\n"
        "        if name == 'audiorec_cli.cli': raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Interrupted())\n"
        "from audiorec_cli.__main__ import run; run()"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (130, "")


def test_ctrl_c_where_nothing_can_be_raised_is_not_lost():
    script = (
        "import signal, time, weakref; from audiorec_cli import cli\n"
        "def listen(args, prog_name):\n"
        "    held = {1, 2}\n"
        "    watch = weakref.ref(held, lambda _: signal.raise_signal(signal.SIGINT))\n"
        "    del held; time.sleep(60)\n"
        "cli.app = listen; cli.run()"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (130, "")


def test_ctrl_c_amid_an_import_waits_until_it_is_over(here):
    """What has loaded a native library in part may crash."""
    (here / "slow.py").write_text(
        "import signal, time\nsignal.raise_signal(signal.SIGINT)\ntime.sleep(0.2)\n"
        "print('whole', flush=True)"
    )
    script = (
        "import time; from audiorec_cli import cli\n"
        "def listen(args, prog_name):\n"
        "    import slow; time.sleep(60)\n"
        "cli.app = listen; cli.run()"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (130, "whole\n", "")


def test_a_file_in_use_is_one_line_and_hinders_no_one_else(
    folder, audiorec, mels_file, predictions_file
):
    folder("mels")
    mels_file("out.h5")
    predictions_file("predictions.h5")
    script = (
        "import sys; from audiorec_cli import files\n"
        "with files.MelsWriter('out.h5', audio_folder='/music', params={}):\n"
        "    print('open', flush=True); sys.stdin.read()"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", script], **pipes) as first:
        assert first.stdout.readline() == b"open\n"
        for arguments in (("mels", "audio", "out.h5"), ("info", "out.h5"), ("train",)):
            status, out, err = audiorec(*arguments)
            assert_one_line(status, out, err)
            assert f"out.h5 is in use by process {first.pid}: wait until" in err
        assert audiorec("similar", "title 1")[0] == 0


def test_a_mels_file_without_tracks_is_one_line(folder, audiorec):
    here = folder("top-activations")
    (here / "mels.h5").unlink()
    script = (
        "import os; from audiorec_cli import files\n"
        "files.MelsWriter('mels.h5', audio_folder='/music', params={})\n"
        "os._exit(9)  # as if it were killed"
    )
    subprocess.run([sys.executable, "-c", script])
    for command in ("predict", "top-activations"):
        status, out, err = audiorec(command)
        assert_one_line(status, out, err)
        assert "mels.h5 holds no tracks yet: run 'audiorec mels AUDIO' to its end" in err


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("command", ["predict", "train"])
def test_spectrograms_without_numbers_are_one_line(
    folder, audiorec, mels_file, command, value, quick_training
):
    here = folder(command)
    (here / "mels.h5").unlink()
    mels_file("mels.h5", mels=np.full((6, 128, 599), value))
    status, out, err = audiorec(command, *ARGUMENTS[command])
    assert_one_line(status, out, err)
    assert "make them again with 'audiorec mels'" in err


def test_a_checkpoint_of_another_version_is_one_line(folder, audiorec):
    import h5py

    folder("predict")
    with h5py.File("model.h5", "r+") as file:
        file.attrs["params"] = '{"network": {"n_heads": 8}}'
    status, out, err = audiorec("predict")
    assert_one_line(status, out, err)
    assert "train it again with 'audiorec train'" in err


def test_a_bug_keeps_its_traceback(folder, audiorec, monkeypatch):
    folder("similar")

    def bug(*arguments):
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(files, "load_predictions", bug)
    with pytest.raises(ZeroDivisionError, match="a bug"):
        audiorec("similar", "title 1")


@pytest.mark.parametrize(
    "arguments",
    [("nonsense",), ("similar",), ("train", "--epochs", 0), ("train", "--epochs", "many"),
     ("predict", "--device", "abacus"), ("mels",), ("similar", "x", "-k", 0)],
)  # fmt: skip
def test_wrong_usage_is_status_2(here, audiorec, arguments):
    status, out, err = audiorec(*arguments)
    assert (status, out) == (2, "")
    assert "Usage" in err


@pytest.mark.parametrize("command", ["demo", "train", "factorize"])
def test_a_seed_out_of_range_is_wrong_usage(here, audiorec, command):
    assert audiorec(command, "x", "--seed", 2**32)[0] == 2


def test_demo_refuses_what_it_could_spoil(here, audiorec):
    (here / "full").mkdir()
    (here / "full/diary.txt").write_text("mine")
    for folder, message in (
        ("full", "full exists and is not empty: name another folder"),
        ("full/diary.txt", "full/diary.txt is no folder: name a folder to make"),
        ("no/such/place", "cannot be made: No such file or directory: name another folder"),
    ):
        status, out, err = audiorec("demo", folder)
        assert_one_line(status, out, err)
        assert message in err
    assert tree(here) == ["full", "full/diary.txt"]


def test_version(audiorec):
    from audiorec_cli import __version__

    assert audiorec("--version")[:2] == (0, f"audiorec {__version__}\n")
