"""The eight styles, and the rendering of one track in one of them."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from audiorec_cli.demo import bands, electronic
from audiorec_cli.demo.songs import Form, Song


@dataclass(frozen=True)
class Style:
    """A style: the form of its songs, who plays them, and the room they are played in."""

    form: Form
    perform: Callable
    reverb_seconds: float


STYLES = {
    "House": Style(electronic.HOUSE, electronic.house, 1.2),
    "Drum and Bass": Style(electronic.DRUM_AND_BASS, electronic.drum_and_bass, 1.6),
    "Hip-Hop": Style(bands.HIP_HOP, bands.hip_hop, 0.8),
    "Ambient": Style(electronic.AMBIENT, electronic.ambient, 4.5),
    "Folk": Style(bands.FOLK, bands.folk, 1.0),
    "Metal": Style(bands.METAL, bands.metal, 0.9),
    "Jazz": Style(bands.JAZZ, bands.jazz, 1.1),
    "Chiptune": Style(electronic.CHIPTUNE, electronic.chiptune, 0.5),
}


def render(style, *, seed, artist_seed, seconds, rate, n_channels):
    """Synthesise a track.

    style : a key of STYLES; seed, artist_seed : ints, the artist's decides the timbres;
    seconds > 0; rate : samples per second; n_channels : 1 or 2.
    Returns (n_channels, seconds * rate) float32 within -1 dBFS. A track depends on nothing
    but the arguments.
    """
    rng, artist = np.random.default_rng(seed), np.random.default_rng(artist_seed)
    song = Song(STYLES[style].form, rng=rng, artist=artist, seconds=seconds, rate=rate)
    strips = STYLES[style].perform(song)
    balanced = {
        name: replace(strip, level=strip.level + rng.uniform(-1.5, 1.5))
        for name, strip in strips.items()
    }
    return song.mix.mixdown(
        balanced, n_channels=n_channels, reverb_seconds=STYLES[style].reverb_seconds
    )
