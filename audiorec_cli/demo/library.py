"""A simulated music library: its tracks, their files, and the log of its listeners."""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from zlib import crc32

import numpy as np

from audiorec_cli.demo.encoding import ENCODINGS, SUFFIX_CYCLE, encode, tag
from audiorec_cli.demo.listeners import draw_plays, draw_tastes
from audiorec_cli.demo.names import ARTISTS, DEBUTS, draw_titles
from audiorec_cli.demo.styles import STYLES, render

COMMENT = "synthesised by audiorec demo"
LOG_COLUMNS = ("user_id", "artist", "title", "plays")
FAMOUS_STYLE, FAMOUS_TITLE = "Hip-Hop", "Juicy"
MAX_TRACKS_PER_STYLE = 200


@dataclass(frozen=True)
class DemoSettings:
    """The size of the simulated library and its audience.

    seed : int >= 0; tracks_per_style : 2 to 200, the new releases included;
    new_releases_per_style : by debut artists and without plays, fewer than the tracks;
    listeners : at least 1; seconds : length of every track, 1 to 600.
    Raises ValueError when a value is out of range.
    """

    seed: int = 0
    tracks_per_style: int = 22
    new_releases_per_style: int = 3
    listeners: int = 440
    seconds: float = 35.0

    def __post_init__(self):
        _require("seed", self.seed, 0, 2**32 - 1)
        _require("tracks_per_style", self.tracks_per_style, 2, MAX_TRACKS_PER_STYLE)
        most = self.tracks_per_style - 1
        _require("new_releases_per_style", self.new_releases_per_style, 0, most)
        _require("listeners", self.listeners, 1, 9999)
        _require("seconds", self.seconds, 1, 600)


def _require(name, value, low, high):
    if not low <= value <= high:
        raise ValueError(f"{name} must lie between {low} and {high}: got {value}")


@dataclass(frozen=True)
class DemoTrack:
    """A track of the simulated library, before it is rendered."""

    style: str
    artist: str
    title: str
    suffix: str
    seed: int
    is_new_release: bool

    @property
    def path(self):
        """Where the file lies, relative to the demo's folder, as a POSIX path."""
        return PurePosixPath("audio", self.style, self.artist, f"{self.title}.{self.suffix}")


def plan_library(settings):
    """The tracks of the library, a tuple of DemoTrack, style by style."""
    rng = np.random.default_rng((settings.seed, 1))
    return tuple(track for style in STYLES for track in _plan_style(style, settings, rng))


def _plan_style(style, settings, rng):
    """One style's tracks, the new releases last, with the formats spread evenly."""
    n_released = settings.tracks_per_style - settings.new_releases_per_style
    titles = draw_titles(style, settings.tracks_per_style, rng)
    if style == FAMOUS_STYLE:
        titles[0] = FAMOUS_TITLE
    seeds = rng.integers(0, 2**32, settings.tracks_per_style)
    for index, (title, seed) in enumerate(zip(titles, seeds.tolist(), strict=True)):
        is_new = index >= n_released
        artists = DEBUTS[style] if is_new else ARTISTS[style]
        yield DemoTrack(
            style=style,
            artist=artists[(index - n_released if is_new else index) % len(artists)],
            title=title,
            suffix=SUFFIX_CYCLE[index % len(SUFFIX_CYCLE)],
            seed=seed,
            is_new_release=is_new,
        )


def render_track(track, settings):
    """A track's samples, (n_channels, n_samples) float32, at the rate of its encoding."""
    encoding = ENCODINGS[track.suffix]
    return render(
        track.style,
        seed=track.seed,
        artist_seed=(settings.seed, crc32(track.artist.encode())),
        seconds=settings.seconds,
        rate=encoding.rate,
        n_channels=encoding.n_channels,
    )


def write_track(track, folder, settings):
    """Render, encode and tag one track below a folder; returns the file's path.

    A function of a module and picklable arguments, so that a process pool can map it.
    """
    path = Path(folder, track.path)
    path.parent.mkdir(parents=True, exist_ok=True)
    encode(path, render_track(track, settings))
    tags = {
        "title": track.title,
        "artist": track.artist,
        "album": f"{track.artist} (audiorec demo)",
        "genre": track.style,
        "comment": COMMENT,
    }
    tag(path, tags)
    return path


def simulate_listening(tracks, settings):
    """The listening log: a list of (user_id, artist, title, plays).

    Listeners' tastes are mixtures of styles; new releases have no plays, and every other
    track is played by 8 listeners or more, where there are so many.
    """
    rng = np.random.default_rng((settings.seed, 2))
    released = [track for track in tracks if not track.is_new_release]
    style_names, styles = np.unique([track.style for track in released], return_inverse=True)
    artists = np.unique([track.artist for track in released], return_inverse=True)[1]
    tastes = draw_tastes(settings.listeners, len(style_names), rng)
    plays = draw_plays(tastes, styles=styles, artists=artists, rng=rng)
    return [
        (f"listener-{user + 1:04d}", released[row].artist, released[row].title, count)
        for (user, row), count in zip(
            np.argwhere(plays).tolist(), plays[plays > 0].tolist(), strict=True
        )
    ]


def write_log(rows, path):
    """Write the listening log as tab-separated values with a header line."""
    lines = ["\t".join(map(str, row)) for row in (LOG_COLUMNS, *rows)]
    Path(path).write_text("\n".join(lines) + "\n", encoding="utf-8")


README = """\
A simulated music library
=========================

Nothing here was recorded and nobody listened to it. The music was synthesised by
'audiorec demo', and the artists, the titles and the listeners are invented.

audio/          {n_tracks} tracks in {n_styles} styles: audio/<style>/<artist>/<title>
listens.tsv     the plays of {listeners} simulated listeners: user_id, artist, title, plays

{n_new} of the tracks are new releases by debut artists that nobody has played yet: what
audiorec says about them, it can only have heard.

Try, in this folder:

    audiorec mels ./audio out.h5
    audiorec factorize listens.tsv
    audiorec train --epochs 40
    audiorec similar "Juicy" -k 10
    audiorec recommend listener-0001 --new-only
    audiorec audience "Juicy"
    audiorec outliers

Made with seed {seed}: the same settings make the same library again.
"""


def write_readme(folder, settings):
    """Write README.txt: what the folder holds and which commands to try on it."""
    text = README.format(
        n_tracks=settings.tracks_per_style * len(STYLES),
        n_styles=len(STYLES),
        n_new=settings.new_releases_per_style * len(STYLES),
        listeners=settings.listeners,
        seed=settings.seed,
    )
    Path(folder, "README.txt").write_text(text, encoding="utf-8")
