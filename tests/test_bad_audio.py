"""Hundreds of broken, hostile and odd files: every one is accounted for, in little time and memory.

The corpus is made by a script that is not part of the project; without it these tests skip.
"""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from audiorec_cli import files
from audiorec_cli.audio import library

MAKE = Path(__file__).parents[2] / "shared" / "bad_audio.py"
PEAK = """
import resource, sys
from multiprocessing import forkserver
from audiorec_cli.cli import main
status = main(["mels", "corpus", "out.h5"])
forkserver._forkserver._stop()  # so that its children, the workers, count as ours
# getrusage of this process would count the one that started it
peak = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(int(peak) // 1024, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024)
sys.exit(status)
"""
MAX_MIB = 700


@pytest.fixture(scope="module", params=[0, 20_141])
def corpus(request, tmp_path_factory):
    """A folder with the corpus of a seed and what `mels` made of it, and its peaks of memory."""
    if not MAKE.exists():
        pytest.skip("the script that makes broken audio is not on this machine")
    folder = tmp_path_factory.mktemp("bad")
    command = [sys.executable, MAKE, "corpus", "--seed", str(request.param), "--big"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    ran = subprocess.run(
        [sys.executable, "-c", PEAK], cwd=folder, capture_output=True, text=True, timeout=300
    )
    assert ran.returncode == 0, ran.stderr
    return folder, list(map(int, ran.stdout.split()))


def expectations(folder):
    """{path: "ok", "bad" or "any"} of the corpus."""
    lines = (folder / "corpus.manifest.tsv").read_text().splitlines()
    return {
        os.fsdecode(ast.literal_eval(name)): expected
        for name, _, expected in (line.split("\t") for line in lines)
    }


def test_rows_and_failures_are_all_files(corpus):
    folder, _ = corpus
    mels = files.load_mels(folder / "out.h5")
    accounted = [*mels.tracks.path, *(failure.path for failure in mels.failures)]
    assert sorted(accounted) == library.walk(folder / "corpus")
    assert len(accounted) == len(set(accounted)) > 300


def test_what_is_sound_is_decoded_and_what_is_none_is_refused(corpus):
    folder, _ = corpus
    mels = files.load_mels(folder / "out.h5")
    reasons = {failure.path: failure.reason for failure in mels.failures}
    for path, expected in expectations(folder).items():
        if expected == "bad":
            assert path not in mels.tracks.row_of_path, path
        elif expected == "ok":
            # most of the corpus is too short to be a track, and says so
            assert reasons.get(path, "shorter than 3 seconds") == "shorter than 3 seconds", path


def test_reasons_are_for_people(corpus):
    folder, _ = corpus
    for failure in files.load_failures(folder / "out.h5"):
        assert failure.reason[0].islower()
        assert "Error" not in failure.reason and "\n" not in failure.reason
        assert failure.reason not in ("crashed the decoder", "took longer than the time limit")


def test_it_costs_little_memory(corpus):
    _, (parent, worker) = corpus
    assert worker > 30, "the workers were not measured"
    assert max(parent, worker) < MAX_MIB
