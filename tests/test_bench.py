"""The benches run, on little: what they print is for reading, and nothing here asserts a time."""

import re
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from audiorec_cli import files

BENCH = Path(__file__).parent / "bench"


@pytest.fixture
def bench(here):
    """Run a bench in an empty folder; returns what it prints."""

    def run(name, *arguments):
        command = [sys.executable, str(BENCH / name), *map(str, arguments)]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    return run


@pytest.fixture
def bench_within(here, monkeypatch, capfd, quick_training):
    """Run a bench in an empty folder and in this process, with small networks."""

    def run(name, *arguments):
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        capfd.readouterr()
        runpy.run_path(str(BENCH / name), run_name="__main__")
        return capfd.readouterr().out

    return run


def test_evaluate_beside_all_scores(bench):
    out = bench("evaluate.py", "--listeners", 60, "--tracks", 30)
    assert re.search(r"peak memory \d+ MiB, \d+\.\d\d of the", out)
    assert re.search(r"time \d+ s, \d+\.\d\d of the", out)


def test_training_beside_loading(bench_within):
    few = ("--device", "cpu", "--tracks", 8, "--epochs", 2)
    out = bench_within("train.py", *few, "--variants", "as it is", "bfloat16")
    header, *lines = [line.split("\t") for line in out.splitlines()[1:]]
    assert header[:2] == ["preset", "variant"]
    assert [line[0] for line in lines[::2]] == ["spotify2014", "nips2013", "modern"]
    assert [line[1] for line in lines[:2]] == ["as it is", "bfloat16"]
    assert all(len(line) == len(header) for line in lines)
    assert all(float(speed) > 0 for line in lines for speed in line[3:])


def test_mels_beside_librosa(bench, here):
    main = 'if __name__ == "__main__":'
    shorter = f"SECONDS, IN_A_ROW, WORKER_ROUNDS = 40, 1, 1\n{main}"
    (here / "mels.py").write_text((BENCH / "mels.py").read_text().replace(main, shorter))
    out = bench(here / "mels.py", "--rounds", 1, "--files", 4)
    header, *lines, workers = out.splitlines()
    assert [line.split("\t")[0] for line in lines] == ["mp3", "flac", "ogg", "wav"]
    assert all(len(line.split("\t")) == len(header.split("\t")) for line in lines)
    assert workers.startswith("two workers: ")


def test_factor_models_beside_popularity(bench, here):
    rows = [f"u{u},t{i},{1 + i % 3}" for u in range(60) for i in range(50) if (u + i) % 3]
    (here / "log.csv").write_text("\n".join(["user_id,track_id,plays", *rows]))
    out = bench("factor_models.py", "log.csv", "--models", "als", "--neighbours")
    header, *lines = [line.split("\t") for line in out.splitlines()]
    assert header == ["model", "setting", "mAP@500", "AUC", "seconds"]
    assert [line[:2] for line in lines[:4]] == [
        ["popularity", ""], ["als", ""], ["als", "confidence linear"], ["als", "alpha 1.0"]
    ]  # fmt: skip
    # tracks whose numbers leave the same remainder have the same listeners
    assert float(lines[1][3]) > float(lines[0][3])


def test_recipes_are_compared_without_the_tracks_set_apart(bench_within, audiorec, here, mels_file):
    mels_file("mels.h5", 40)
    rows = [f"u{u},folder/{i}" for u in range(30) for i in range(40) if (u + i) % 3]
    (here / "log.csv").write_text("\n".join(["user_id,track_id", *rows]))
    assert audiorec("factorize", "log.csv", "--factors", 4)[0] == 0
    np.savez("sound.npz", **{f"folder/{i}.flac": np.arange(3) * i for i in range(40)})
    recipe = "--preset modern --epochs 1"
    options = ("--train", recipe, "--keep", "kept", "--folds", 2, "--seeds", 1)
    out = bench_within("quality.py", *options, "--features", "sound.npz")
    models = [recipe, "ridge on mel statistics", "ridge on sound"]
    ranked, *names = [line.split("\t")[0] for line in out.splitlines()]
    assert ranked == "30 ranked"
    assert names == ["model", *models, *(f"{recipe} − {other}" for other in models[1:])]
    one, other = (marks_of(path) for path in sorted((here / "kept").rglob("factors.h5")))
    # ten tracks are set apart, and nothing of either fold has seen them
    assert (len(one & other), len(one | other)) == (10, 40)
    assert bench_within("quality.py", *options, "--part", "apart").startswith("10 ranked\n")
    (last,) = (here / "kept").rglob("apart-*-0/factors.h5")
    assert marks_of(last) == one & other


def test_recommendations_of_new_and_little_known_tracks(bench_within, audiorec, here, mels_file):
    mels_file("mels.h5", 40)
    rows = [f"u{u},folder/{i}" for u in range(90) for i in range(40) if (u + i) % 3 or u % 7 == 0]
    (here / "log.csv").write_text("\n".join(["user_id,track_id", *rows]))
    assert audiorec("factorize", "log.csv", "--factors", 4)[0] == 0
    recipe = "--epochs 1 --validation 0.2"
    out = bench_within(
        "recommend.py", "--train", recipe, "--keep", "kept", "--folds", 2, "--plot", "blend.png"
    )
    new, known, histories, audience = ([line.split("\t") for line in table.splitlines()]
                            for table in out.split("\n\n"))  # fmt: skip
    assert [row[0] for row in new[-3:]] == ["recommend --new-only", "mean factor", "random"]
    assert [row[0] for row in known] == ["listeners", "0", "1", "3", "10", "30"]
    sound, listening, blend = (float(row[:5]) for row in known[1][1:4])
    assert (listening, blend) == (0.5, sound)
    assert known[-1][2] > known[1][2]
    assert [row[0] for row in histories] == ["met items in the history", "0", "1", "3", "10"]
    alone, sound_too = (float(figure[:5]) for figure in histories[1][1:3])
    assert alone == 0.5 != sound_too
    assert float(histories[-1][1][:5]) != 0.5
    assert [row[0] for row in audience] == ["audience by", "cosine", "product"]
    assert (here / "blend.png").stat().st_size > 10_000


def marks_of(path):
    factors = files.load_factors(path)
    return {factors.log.tracks.track_id[row] for row in np.flatnonzero(factors.is_test)}


def test_factorize_beside_polars(bench):
    out = bench("factorize.py", "--rows", 20_000, "--rounds", 1, "--command")
    assert re.search(r"to CSR: \d+\.\d\d times polars' read_csv, 20000 rows", out)
    assert re.search(r"the whole command: \d+\.\d\d times fit and reading", out)


def test_hubs_and_duplicates(bench_within, predictions_file, mels_file):
    predictions_file("p.h5")
    mels = np.random.default_rng(0).random((12, 128, 599))
    mels[7] = mels[2]
    mels_file("m.h5", mels=mels)
    lines = bench_within("lists.py", "p.h5", "m.h5").splitlines()
    before, after = (float(re.search(r"skewness (\S+),", line)[1]) for line in lines[:2])
    assert after < before
    assert re.fullmatch(r" *1\.00  artist 0 - title 2 \| artist 1 - title 7", lines[5])


@pytest.mark.skipif(not Path("/usr/bin/chromium").exists(), reason="there is no Chromium")
def test_a_page_in_a_browser(bench):
    out = bench("page.py", 30)
    assert re.search(r"30 tracks: \d+\.\d MB\nopened and drawn \[s\]: \d", out)
    assert re.search(r"a step of a zoom \[ms\]: \d", out)
