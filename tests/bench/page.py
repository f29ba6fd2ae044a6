"""A page of many tracks in a real browser: python tests/bench/page.py [n_tracks]

Prints how large it is, how long it takes to be drawn in a headless Chromium, without a GPU as that
is, and how long a list of what sounds alike, a search and a step of a zoom take then. The places of
the tracks are random: 'audiorec map' says what t-SNE takes.
"""

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from playwright.sync_api import sync_playwright

from audiorec_cli.output.map_legend import color_groups
from audiorec_cli.output.map_plots import add_ring, map_plot
from audiorec_cli.output.page import Page, Sound, page_html
from audiorec_cli.records import Tracks

N_FACTORS = 40
TIMED = {
    "what sounds alike, listed [ms]": "choose(0)",
    "a search for a title [ms]": "find('title 193')",
    "an arrow key [ms]": "map.next(0, 1, 0)",
}
ZOOM = """async () => {
    const range = map.ranges.x, started = performance.now()
    let steps = 0
    for (; performance.now() - started < 3000; steps++) {
        range.setv({start: range.start * 0.995, end: range.end * 0.995})
        await new Promise((done) => requestAnimationFrame(done))
    }
    return (performance.now() - started) / steps
}"""


def page_of(n_tracks):
    """A Page of n_tracks random tracks."""
    rng = np.random.default_rng(0)
    rows, none = range(n_tracks), [""] * n_tracks
    factors = rng.normal(size=(n_tracks, N_FACTORS))
    factors /= np.linalg.norm(factors, axis=1, keepdims=True)
    artists = [f"An Artist of {row % 2000}" for row in rows]
    tracks = Tracks(
        [f"folder/{row}" for row in rows], [f"folder/{row}.mp3" for row in rows],
        [f"A title {row}" for row in rows], artists, none, np.full(n_tracks, 200.0),
        np.zeros(n_tracks, int), np.zeros(n_tracks, int), none, none,
    )  # fmt: skip
    coloring = color_groups(artists)
    plot = map_plot(rng.uniform(-1, 1, (n_tracks, 2)).astype(np.float32), tracks, coloring)
    add_ring(plot)
    sounds = [Sound(f"../music/{path}", 85.0, 115.0) for path in tracks.path]
    legend, starts = coloring.legend, [85.0] * n_tracks
    return Page("Many", tracks, factors.astype(np.float32), plot, legend, sounds, starts, [])


def measure(path):
    """Print what the browser takes over the page at `path`."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox"]
        )
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        started = time.perf_counter()
        page.goto(path.as_uri())
        while not page.evaluate("document.documentElement.dataset.map === 'drawn'"):
            page.wait_for_timeout(10)
        print(f"opened and drawn [s]: {time.perf_counter() - started:.1f}")
        for what, expression in TIMED.items():
            page.evaluate(expression)  # the first time prepares
            timed = f"const t = performance.now(); {expression}; return performance.now() - t"
            print(f"{what}: {page.evaluate(f'() => {{ {timed} }}'):.0f}")
        print(f"a step of a zoom [ms]: {page.evaluate(ZOOM):.0f}")
        browser.close()


def main():
    """Make the page and measure it."""
    n_tracks = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "index.html"
        path.write_text(page_html(page_of(n_tracks)), encoding="utf-8")
        print(f"{n_tracks} tracks: {path.stat().st_size / 1e6:.1f} MB")
        measure(path)


if __name__ == "__main__":
    main()
