"""How quick `audiorec factorize` reads a log beside polars, and fits it beside implicit alone.

A file of Taste Profile triplets is made in a temporary folder. Every measurement is a process of
its own, the ways take turns, and the least time of several rounds counts.

    python tests/bench/factorize.py                       # reading 20 million rows
    python tests/bench/factorize.py --command             # the whole command as well: minutes
"""

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile

import numpy as np
import polars as pl

ROWS_A_LISTENER, ROWS_A_TRACK = 48, 130  # of the Taste Profile
AT_A_TIME = 1_000_000
ITERATIONS = 3

# Each prints its seconds and its peak of memory in MiB; what it imports is not counted.
MEASURED = """
import sys, time
{imports}
start = time.perf_counter()
{work}
seconds = time.perf_counter() - start
# not getrusage, whose peak is also that of the process that started this one
peak = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(seconds, int(peak) / 1024)
"""
POLARS = {
    "imports": "import polars as pl",
    "work": 'pl.read_csv(sys.argv[1], separator="\\t", has_header=False)',
}
OURS = {
    "imports": "from audiorec_cli.listening.log_settings import LogSettings\n"
    "from audiorec_cli.listening.logs import read_log",
    "work": "read_log(sys.argv[1], LogSettings())",
}
FIT = {
    "imports": f"""
import numpy as np
from implicit.als import AlternatingLeastSquares
from threadpoolctl import threadpool_limits
from audiorec_cli.listening.als import confidence
from audiorec_cli.listening.log_settings import LogSettings
from audiorec_cli.listening.logs import read_log
from audiorec_cli.listening.settings import AlsSettings
settings = AlsSettings()
weights = confidence(read_log(sys.argv[1], LogSettings()).plays.plays, settings)
model = AlternatingLeastSquares(
    factors=settings.n_factors, regularization=settings.regularization, alpha=1,
    iterations={ITERATIONS}, use_cg=False, random_state=0,
)
""",
    "work": 'with threadpool_limits(1, "blas"): model.fit(weights, show_progress=False)',
}
COMMAND = {
    "imports": "from audiorec_cli.cli import main",
    "work": 'assert main(["factorize", sys.argv[1], "out.h5", "--iterations", '
    f'"{ITERATIONS}"]) == 0',
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=20_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--command", action="store_true", help="measure the whole command too")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        _write_triplets("triplets.txt", arguments.rows)
        ways = {"polars' read_csv": POLARS, "ours, to CSR": OURS}
        if arguments.command:
            ways |= {"implicit's fit alone": FIT, "the whole command": COMMAND}
        least = dict.fromkeys(ways, (np.inf, 0.0))
        for _ in range(arguments.rounds):
            for name, way in ways.items():
                least[name] = min(least[name], _measure(way))
    for name, (seconds, mib) in least.items():
        print(f"{name}: {seconds:.2f} s, peak {mib:.0f} MiB")
    reading, ours = (least[name][0] for name in list(ways)[:2])
    print(f"to CSR: {ours / reading:.2f} times polars' read_csv, {arguments.rows} rows")
    if arguments.command:
        fit, command = (least[name][0] for name in list(ways)[2:])
        print(f"the whole command: {command / (fit + ours):.2f} times fit and reading")


def _write_triplets(path, n_rows):
    """Listeners in a row, each with tracks of which few are very popular."""
    rng = np.random.default_rng(0)
    listeners = _ids(max(2, n_rows // ROWS_A_LISTENER), lambda i: hashlib.sha1(i).hexdigest())
    songs = _ids(
        max(2, n_rows // ROWS_A_TRACK), lambda i: "SO" + hashlib.md5(i).hexdigest()[:16].upper()
    )
    with open(path, "wb") as file:
        for start in range(0, n_rows, AT_A_TIME):
            n = min(AT_A_TIME, n_rows - start)
            table = {
                "user": listeners.gather((start + np.arange(n)) * len(listeners) // n_rows),
                "song": songs.gather((rng.random(n) ** 3 * len(songs)).astype(int)),
                "plays": rng.geometric(0.4, n),
            }
            pl.DataFrame(table).write_csv(file, separator="\t", include_header=False)


def _ids(n, name):
    return pl.Series([name(str(i).encode()) for i in range(n)])


def _measure(way):
    script = MEASURED.format(**way)
    done = subprocess.run(
        [sys.executable, "-c", script, "triplets.txt"], check=True, capture_output=True, text=True
    )
    return tuple(map(float, done.stdout.split()))


if __name__ == "__main__":
    main()
