"""Four styles of players and singers: hip-hop, folk, metal and a jazz trio.

Each is a Form to draw a song from and a function that plays the song's parts and returns the
strips of its mix.
"""

from functools import partial

import numpy as np

from audiorec_cli.demo import drums, instruments
from audiorec_cli.demo.mixing import Strip
from audiorec_cli.demo.songs import Form

VOWELS = tuple(instruments.FORMANTS)

HIP_HOP = Form(
    tempo=(82, 96),
    modes=("minor", "dorian"),
    progressions=((0, 0, 3, 3), (0, 5, 0, 4), (0, 3), (1, 4, 0, 0)),
    sections=(("intro", 1), ("verse", 6), ("chorus", 3), ("verse", 3)),
    swing=0.22,
)

BOOM_BAP = ("9000000900900000", "9009000000900000", "9000000090900000", "9002000700900020")


def hip_hop(song):
    """Boom-bap drums, a sub bass, a dusty sampled loop and a rapping voice."""
    hit = {"rate": song.rate, "rng": song.rng}
    kick = drums.kick(pitch=song.artist.uniform(46, 58), decay=0.13, click=0.4, **hit)
    snare = drums.snare(pitch=song.artist.uniform(160, 210), decay=0.11, wires=0.65, **hit)
    hat = drums.hat(decay=0.025, edge=song.artist.uniform(5000, 7000), **hit)
    kicks = song.pick(*BOOM_BAP)
    hats = song.pick("7040704070407040", "7040704470407044", "7000600070006040")
    for bar in song.within("verse", "chorus"):
        song.beat_out("kick", kick, bar, kicks)
        song.beat_out("snare", snare, bar, "0000900000009000")
        song.beat_out("hat", hat, bar, hats)
    _sampled_loop(song, kicks)
    _rap(song)
    dust = drums.crackle(song.mix.n_samples, **hit)
    song.mix.add("vinyl", dust, 0.0)
    return {
        "kick": Strip(-2, send=0.02),
        "snare": Strip(-3, send=0.12),
        "hat": Strip(-14, pan=0.2),
        "bass": Strip(-3, send=0.0),
        "loop": Strip(-8, pan=-0.15, send=0.15),
        "rap": Strip(-2, send=0.06),
        "vinyl": Strip(-26),
    }


def _sampled_loop(song, kicks):
    bass = partial(instruments.sub_bass, rate=song.rate, warmth=song.artist.uniform(1.2, 2.5))
    piano = partial(instruments.electric_piano, rate=song.rate, index=1.6, decay=0.7)
    harp = partial(instruments.plucked_string, rate=song.rate, rng=song.rng, brightness=0.7)
    sampled = (piano, harp)[song.artist.integers(2)]
    cutoff = song.artist.uniform(1500, 3000)
    motif = song.motif(density=5, span=6)
    for bar in song.bars:
        root = song.chord(bar)[0] % 12 + 31
        for step, digit in enumerate(kicks):
            if digit > "5" and bar.section != "intro":
                song.play("bass", bass, root, song.time(bar, step), 3.5 * song.step)
        for note in song.chord(bar, size=4):
            song.play("loop", sampled, note, bar.start, 1.6, 0.6)
        for step, _, offset in motif:
            song.play("loop", sampled, song.pitch(offset, 1), song.time(bar, step), 1.0, 0.7)
    song.mix.process("loop", partial(instruments.band_pass, low=180.0, high=cutoff, rate=song.rate))


def _rap(song):
    """Syllables on sixteenths with rests between the lines, the stress on the beat."""
    pitch, tract = song.artist.uniform(95, 170), song.artist.uniform(0.92, 1.15)
    density = song.artist.uniform(0.6, 0.85)
    for bar in song.within("verse", "chorus"):
        rest = 13 if bar.index % 2 else 15
        for step in range(rest):
            on_beat = step % 4 == 0
            if song.rng.random() > density + 0.3 * on_beat:
                continue
            frequency = pitch * song.rng.uniform(0.85, 1.15) * (1.12 if on_beat else 1.0)
            n_samples = round(song.step * song.rng.uniform(0.8, 1.05) * song.rate)
            vowels = song.rng.choice(VOWELS, 2)
            syllable = instruments.speak(
                frequency, n_samples, rate=song.rate, rng=song.rng, vowels=vowels, tract=tract
            )
            at = song.time(bar, step) + song.rng.normal(0, 0.008)
            song.mix.add("rap", syllable, at, 1.0 if on_beat else 0.7)


FOLK = Form(
    tempo=(84, 116),
    modes=("major", "major", "dorian"),
    progressions=((0, 4, 5, 3), (0, 3, 0, 4), (0, 5, 3, 4), (0, 0, 3, 0), (5, 3, 0, 4)),
    sections=(("intro", 2), ("verse", 4), ("break", 1), ("chorus", 4), ("verse", 2)),
)

# String (0 is the lowest of the chord) plucked at each eighth.
PICKING = ((0, 3, 1, 4, 0, 3, 2, 4), (0, 2, 3, 4, 1, 3, 2, 3), (0, 4, 2, 3, 1, 4, 2, 3))


def folk(song):
    """A fingerpicked guitar and a singer with vibrato, in a small room."""
    artist = song.artist
    guitar = partial(
        instruments.plucked_string,
        rate=song.rate,
        rng=song.rng,
        brightness=artist.uniform(0.35, 0.75),
        sustain=artist.uniform(0.993, 0.997),
        pick=artist.uniform(0.12, 0.3),
    )
    picking = song.pick(*PICKING)
    for bar in song.bars:
        low = song.chord(bar)
        strings = [low[0] - 12, *low, low[0] + 12]
        for eighth, string in enumerate(picking):
            at = bar.start + eighth * song.beat / 2 + song.rng.normal(0, 0.006)
            gain = song.rng.uniform(0.6, 0.9) + 0.2 * (string == 0)
            song.play("guitar", guitar, strings[string], at, 1.5, gain)
    _ballad(song)
    shaker = drums.hat(rate=song.rate, rng=song.rng, decay=0.04, edge=5000.0)
    if song.rng.random() < 0.4:
        for bar in song.within("chorus"):
            song.beat_out("shaker", shaker, bar, "3020502030205020")
    return {
        "guitar": Strip(-3, pan=-0.2, send=0.15),
        "voice": Strip(-1, pan=0.05, send=0.25),
        "shaker": Strip(-24, pan=0.3, send=0.2),
    }


def _ballad(song):
    """A sung melody: one motif for the verses, a higher one for the choruses."""
    tract, octave = song.artist.uniform(0.95, 1.25), int(song.artist.integers(0, 2))
    vibrato = song.artist.uniform(0.008, 0.018)
    motifs = {"verse": song.motif(density=4, span=4), "chorus": song.motif(density=5, span=6)}
    for bar in song.within("verse", "chorus"):
        for step, length, offset in motifs[bar.section]:
            note = song.pitch(bar.degree % 7 + offset - 7 * (bar.degree > 3), octave)
            n_samples = round(length * song.step * 0.95 * song.rate)
            sung = instruments.sing(
                440.0 * 2.0 ** ((note - 69) / 12),
                n_samples,
                rate=song.rate,
                vowels=song.rng.choice(VOWELS, 2),
                tract=tract,
                vibrato=vibrato,
            )
            song.mix.add("voice", sung, song.time(bar, step))


METAL = Form(
    tempo=(150, 200),
    modes=("phrygian", "minor"),
    progressions=((0, 0, 5, 6), (0, 1, 0, 4), (0, 0, 0, 1), (0, 5, 3, 1), (0, 6, 5, 1)),
    sections=(("intro", 2), ("verse", 6), ("chorus", 5), ("break", 3), ("chorus", 5)),
)

GALLOPS = ((0, 2, 3, 4, 6, 7, 8, 10, 11, 12, 14, 15), tuple(range(16)), (0, 3, 4, 6, 8, 11, 12, 14))


def metal(song):
    """Distorted power chords, palm-muted gallops, double bass drums and a solo."""
    _metal_drums(song)
    artist = song.artist
    drive, presence = artist.uniform(4, 9), artist.uniform(3200, 5200)
    strings = partial(instruments.ensemble, rate=song.rate, cutoff=5000.0, cents=5.0)
    tuning = int(artist.integers(-13, -8))
    solo = partial(instruments.chip_note, rate=song.rate, shape="saw", vibrato=0.012)
    gallop, motif = song.pick(*GALLOPS), song.motif(density=11, span=9)
    for bar in song.bars:
        root = song.tonic % 12 + 48 + tuning + song.pitch(bar.degree) - song.tonic
        root -= 12 * (root > 47)
        muted = bar.section in ("verse", "intro")
        for step in gallop if muted else (0, 6, 8, 12):
            seconds = song.step * (0.7 if muted else 4)
            for interval in (0, 7, 12):
                song.play("guitar", strings, root + interval, song.time(bar, step), seconds)
            song.play("bass", strings, root - 12, song.time(bar, step), seconds)
        if bar.section == "break":
            for step, length, offset in motif:
                note = song.pitch(bar.degree % 7 + offset, 1)
                song.play("solo", solo, note, song.time(bar, step), length * song.step)
    for channel in ("guitar", "solo"):
        song.mix.process(channel, partial(_amplify, drive=drive, presence=presence, rate=song.rate))
    return {
        "kick": Strip(-4, send=0.02),
        "snare": Strip(-3, send=0.12),
        "cymbals": Strip(-9, pan=0.2, send=0.1),
        "guitar": Strip(-1, pan=-0.25, send=0.04),
        "bass": Strip(-7),
        "solo": Strip(-2, pan=0.3, send=0.25),
    }


def _amplify(sound, *, drive, presence, rate):
    """A guitar amplifier: distortion and a loudspeaker that keeps only the middle."""
    return instruments.band_pass(instruments.overdrive(sound, drive), 90.0, presence, rate=rate)


def _metal_drums(song):
    hit = {"rate": song.rate, "rng": song.rng}
    kick = drums.kick(pitch=song.artist.uniform(58, 75), decay=0.06, click=0.9, **hit)
    snare = drums.snare(pitch=song.artist.uniform(170, 230), decay=0.12, wires=0.75, **hit)
    crash = drums.cymbal(decay=song.artist.uniform(0.5, 0.9), ping=0.1, **hit)
    hat = drums.hat(decay=0.05, edge=5500.0, **hit)
    doubles = song.pick("9898989898989898", "9088908890889088", "9099909990999099")
    for bar in song.bars:
        fast = bar.section == "chorus"
        song.beat_out("kick", kick, bar, doubles if fast else "9000009090000090")
        if bar.section != "intro":
            song.beat_out("snare", snare, bar, "0000900000009000")
        song.beat_out("cymbals", hat, bar, "6000600060006000" if fast else "6050605060506050")
        if bar.index % 2 == 0 or fast:
            song.beat_out("cymbals", crash, bar, "9000000000000000")


JAZZ = Form(
    tempo=(122, 190),
    modes=("major", "major", "dorian"),
    progressions=((1, 4, 0, 0), (0, 5, 1, 4), (2, 5, 1, 4), (0, 3, 2, 5)),
    sections=(("verse", 4), ("chorus", 8), ("verse", 3)),
    swing=0.33,
)


def jazz(song):
    """A trio: an electric piano's sevenths and solo, a walking bass and a swinging ride."""
    _jazz_drums(song)
    artist = song.artist
    piano = partial(
        instruments.electric_piano,
        rate=song.rate,
        index=artist.uniform(0.7, 2.2),
        tine=artist.uniform(0.05, 0.4),
        decay=artist.uniform(0.6, 1.2),
    )
    bass = partial(
        instruments.plucked_string,
        rate=song.rate,
        rng=song.rng,
        brightness=artist.uniform(0.02, 0.12),
        sustain=0.992,
        pick=0.35,
    )
    comping = song.pick((0, 6), (2, 8), (0, 6, 14), (6, 12))
    for bar in song.bars:
        walk = np.array([0, 2, 4, song.pick(1, 3, 5, 6)])
        for beat, degree in enumerate(bar.degree + walk):
            note = song.pitch(int(degree)) % 12 + 31
            song.play("bass", bass, note, bar.start + beat * song.beat, 0.95 * song.beat)
        for step in comping:
            for note in song.chord(bar, size=5)[1:]:
                gain = song.rng.uniform(0.3, 0.5)
                song.play("piano", piano, note, song.time(bar, step), 2 * song.beat, gain)
        for step, length, offset in song.motif(density=8 if bar.section == "chorus" else 4, span=9):
            note = song.pitch(bar.degree % 7 + offset, 1)
            seconds = min(length * song.step * 1.2, 1.0)
            song.play("piano", piano, note, song.time(bar, step - step % 2), seconds, 0.9)
    return {
        "ride": Strip(-9, pan=0.3, send=0.1),
        "hat": Strip(-17, pan=-0.3, send=0.1),
        "brush": Strip(-17, send=0.15),
        "bass": Strip(-2, send=0.06),
        "piano": Strip(-2, pan=-0.15, send=0.2),
    }


def _jazz_drums(song):
    hit = {"rate": song.rate, "rng": song.rng}
    pitch = song.artist.uniform(2300, 3200)
    ping = song.artist.uniform(0.5, 0.8)
    ride = drums.cymbal(decay=song.artist.uniform(0.3, 0.6), ping=ping, pitch=pitch, **hit)
    pedal = drums.hat(decay=0.03, edge=5000.0, **hit)
    brush = drums.snare(decay=0.12, wires=0.9, edge=1200.0, **hit)
    for bar in song.bars:
        song.beat_out("ride", ride, bar, "8000905080009050")
        song.beat_out("hat", pedal, bar, "0000900000009000")
        comments = ["0"] * 16
        for step in (2, 6, 10, 14):
            if song.rng.random() < 0.25:
                comments[step] = "6"
        song.beat_out("brush", brush, bar, "".join(comments))
