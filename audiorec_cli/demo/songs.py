"""A song's plan: tempo, key, chords and sections, and the means to put notes on its bars."""

from dataclasses import dataclass

import numpy as np

from audiorec_cli.demo.mixing import Mix

MODES = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "minor": (0, 2, 3, 5, 7, 8, 10),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "phrygian": (0, 1, 3, 5, 7, 8, 10),
    "lydian": (0, 2, 4, 6, 7, 9, 11),
}
STEPS = 16  # of a bar


@dataclass(frozen=True)
class Bar:
    """A bar: its start in seconds, its number, its section and its chord's scale degree."""

    start: float
    index: int
    section: str
    degree: int


@dataclass(frozen=True)
class Form:
    """What the songs of a style are drawn from.

    tempo : lowest and highest beats a minute; modes : keys of MODES;
    progressions : scale degrees, one a bar; sections : names with their shares of the song;
    swing : how far every second eighth is late, in eighths.
    """

    tempo: tuple
    modes: tuple
    progressions: tuple
    sections: tuple
    swing: float = 0.0


class Song:
    """A song in the making: its plan, its random generators and its mix.

    `rng` differs from track to track; `artist` is seeded by the artist, so that what is
    drawn from it first, in the same order, is the same on all of the artist's tracks.
    """

    def __init__(self, form, *, rng, artist, seconds, rate):
        self.rng, self.artist, self.seconds, self.rate = rng, artist, seconds, rate
        self.mix = Mix(round(seconds * rate), rate)
        low, high = form.tempo
        self.tempo = float(np.clip(artist.uniform(low, high) * rng.uniform(0.94, 1.06), low, high))
        self.beat = 60.0 / self.tempo
        self.step = self.beat / 4
        self.swing = form.swing
        self.scale = MODES[form.modes[rng.integers(len(form.modes))]]
        self.tonic = 48 + int(rng.integers(-5, 7))
        self.bars = self._plan_bars(form)
        self._notes = {}

    def _plan_bars(self, form):
        n_bars = int(np.ceil(self.seconds / (4 * self.beat)))
        picks = self.rng.choice(len(form.progressions), 2)
        verse, chorus = (form.progressions[pick] for pick in picks)
        names, shares = zip(*form.sections, strict=True)
        drawn = np.array(shares) * self.rng.uniform(0.75, 1.3, len(shares))
        ends = np.round(np.cumsum(drawn / drawn.sum()) * n_bars)
        bars = []
        for index in range(n_bars):
            section = names[int(np.searchsorted(ends, index, side="right"))]
            chords = chorus if section == "chorus" else verse
            bars.append(Bar(index * 4 * self.beat, index, section, chords[index % len(chords)]))
        return bars

    def within(self, *sections):
        """The bars of the sections named."""
        return [bar for bar in self.bars if bar.section in sections]

    def time(self, bar, step):
        """Seconds at which a step (sixteenth of a bar) begins, the swing included."""
        late = self.swing * 2 * self.step if step % 4 == 2 else 0.0
        return bar.start + step * self.step + late

    def pitch(self, degree, octave=0):
        """MIDI note of a scale degree (any integer) above the tonic."""
        return self.tonic + 12 * (octave + degree // 7) + self.scale[degree % 7]

    def chord(self, bar, *, size=3, octave=0):
        """MIDI notes of the bar's chord, stacked in thirds and folded near the tonic."""
        notes = [self.pitch(bar.degree + 2 * third) for third in range(size)]
        return sorted(self.tonic + 12 * octave + (note - self.tonic) % 12 for note in notes)

    def pick(self, *options):
        """One of the options, by the track's own generator."""
        return options[self.rng.integers(len(options))]

    def motif(self, *, density, span=5):
        """A bar of melody: (step, length in steps, offset in scale degrees) for each note.

        density : notes expected a bar, 1 to 16; span : widest offset from the chord's root.
        """
        strength = np.array([4, 0.5, 1.5, 0.7] * 4)
        n_notes = int(np.clip(self.rng.poisson(density), 2, STEPS))
        starts = self.rng.choice(STEPS, n_notes, replace=False, p=strength / strength.sum())
        starts = np.sort(starts)
        lengths = np.diff(np.append(starts, STEPS))
        offsets = np.cumsum(self.rng.choice((-2, -1, -1, 0, 1, 1, 2, 2), n_notes))
        offsets = np.where(starts % 8 == 0, offsets // 2 * 2, offsets)
        offsets = np.abs(offsets) % (span + 1)
        return list(zip(starts.tolist(), lengths.tolist(), offsets.tolist(), strict=True))

    def play(self, channel, instrument, note, at, seconds, gain=1.0):
        """Add a note: a MIDI number, a time and a length in seconds; equal notes render once."""
        n_samples = max(64, round(seconds * self.rate))
        key = (channel, note, n_samples)
        if key not in self._notes:
            self._notes[key] = instrument(440.0 * 2.0 ** ((note - 69) / 12), n_samples)
        self.mix.add(channel, self._notes[key], at, gain)

    def beat_out(self, channel, hit, bar, pattern):
        """Play a drum on a bar by a pattern of digits, one a step: 0 silent to 9 full."""
        for step, digit in enumerate(pattern):
            if digit != "0":
                gain = int(digit) / 9 * self.rng.uniform(0.88, 1.0)
                self.mix.add(channel, hit, self.time(bar, step), gain)
