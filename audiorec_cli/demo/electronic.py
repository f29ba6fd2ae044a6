"""Four electronic styles: house, drum and bass, ambient and chiptune.

Each is a Form to draw a song from and a function that plays the song's parts and returns the
strips of its mix.
"""

from functools import partial

from audiorec_cli.demo import drums, instruments
from audiorec_cli.demo.mixing import Strip
from audiorec_cli.demo.songs import Form

HOUSE = Form(
    tempo=(119, 129),
    modes=("minor", "dorian"),
    progressions=((0, 0, 5, 6), (0, 3, 0, 4), (0, 5, 2, 6), (0, 0, 3, 3), (5, 6, 0, 0)),
    sections=(("intro", 3), ("verse", 5), ("chorus", 4), ("break", 2), ("chorus", 4)),
)


def house(song):
    """Four on the floor, off-beat hats, pumping bass and stabs."""
    _house_drums(song)
    _house_harmony(song)
    kicks = [bar.start + beat * song.beat for bar in song.bars for beat in range(4)]
    song.mix.duck(("bass", "stab", "pad"), kicks, depth=0.75, release=0.14)
    return {
        "kick": Strip(0, send=0.02),
        "clap": Strip(-8, send=0.25),
        "hat": Strip(-12, pan=0.2),
        "bass": Strip(-4, send=0.0),
        "stab": Strip(-5, pan=-0.2, send=0.4),
        "pad": Strip(-9, send=0.4),
        "voice": Strip(-7, pan=0.1, send=0.5),
    }


def _house_drums(song):
    hit = {"rate": song.rate, "rng": song.rng}
    kick = drums.kick(
        pitch=song.artist.uniform(44, 56), decay=song.artist.uniform(0.11, 0.2), **hit
    )
    clap = drums.clap(decay=song.artist.uniform(0.05, 0.12), **hit)
    opened = drums.hat(decay=song.artist.uniform(0.06, 0.13), edge=5500.0, **hit)
    closed = drums.hat(decay=0.02, edge=7500.0, **hit)
    shaker = song.pick("3253325332533253", "2020502020205020", "4143414341434143")
    for bar in song.within("intro", "verse", "chorus"):
        song.beat_out("kick", kick, bar, "9000900090009000")
        song.beat_out("hat", opened, bar, "0090009000900090")
    for bar in song.within("verse", "chorus"):
        song.beat_out("clap", clap, bar, "0000900000009000")
    for bar in song.within("chorus", "break"):
        song.beat_out("hat", closed, bar, shaker)


def _house_harmony(song):
    artist = song.artist
    settings = {"rate": song.rate, "shape": song.pick("saw", "saw", "square")}
    bass = partial(instruments.stab, cutoff=artist.uniform(500, 1400), decay=0.25, **settings)
    stab = partial(instruments.stab, cutoff=artist.uniform(2000, 5500), cents=18.0, **settings)
    pad = partial(instruments.pad, rate=song.rate, cutoff=artist.uniform(700, 1800))
    tract = artist.uniform(0.95, 1.25)
    chop = partial(instruments.sing, rate=song.rate, vowels=("a", song.pick("e", "o")), tract=tract)
    off_beats = song.pick((2, 6, 10, 14), (2, 3, 6, 10, 11, 14), (2, 6, 7, 10, 14, 15))
    rhythm = song.pick((0, 3, 6, 10, 13), (3, 6, 11, 14), (0, 6, 8, 14), (2, 5, 8, 11, 14))
    sings = song.rng.random() < 0.5
    for bar in song.bars:
        notes = song.chord(bar, size=4, octave=1)
        if bar.section in ("verse", "chorus"):
            for step in off_beats:
                song.play("bass", bass, notes[0] % 12 + 36, song.time(bar, step), 1.8 * song.step)
        if bar.section != "verse" or bar.index % 2:
            for step in rhythm:
                for note in notes:
                    song.play("stab", stab, note, song.time(bar, step), 0.4, 0.5)
        if bar.section in ("break", "chorus"):
            for note in notes:
                song.play("pad", pad, note, bar.start, 4.2 * song.beat, 0.5)
        if sings and bar.section in ("chorus", "break"):
            for step in (4, 7, 12):
                song.play("voice", chop, notes[step % 3], song.time(bar, step), 2.5 * song.step)


DRUM_AND_BASS = Form(
    tempo=(168, 178),
    modes=("minor", "phrygian"),
    progressions=((0, 0, 5, 5), (0, 0, 0, 6), (0, 5, 3, 4), (0, 0, 1, 0)),
    sections=(("intro", 4), ("chorus", 7), ("break", 3), ("chorus", 7), ("verse", 3)),
)

BREAKBEATS = (
    ("9000000000900000", "0000900200009000"),
    ("9000000000900020", "0000900303209000"),
    ("9020000000970000", "0000900203009003"),
    ("9000002000900000", "0200900200029000"),
)


def drum_and_bass(song):
    """A fast breakbeat over a growling bass and distant pads."""
    _breakbeat(song)
    artist = song.artist
    wobble = song.pick(1, 2, 3, 4) / (4 * song.beat) * 2
    reese = partial(
        instruments.reese_bass,
        rate=song.rate,
        cutoff=artist.uniform(600, 1800),
        cents=artist.uniform(14, 35),
        wobble=wobble,
    )
    pad = partial(instruments.pad, rate=song.rate, cutoff=artist.uniform(800, 2200), cents=14.0)
    bell = partial(instruments.bell, rate=song.rate, decay=0.5)
    lengths = song.pick((16,), (6, 10), (12, 4), (3, 3, 10), (8, 2, 6))
    motif = song.motif(density=4, span=7)
    for bar in song.bars:
        root = song.chord(bar)[0] % 12 + 28
        if bar.section in ("chorus", "verse"):
            start = 0
            for length in lengths:
                seconds = length * song.step
                song.play("bass", reese, root, song.time(bar, start), seconds)
                start += length
        if bar.index % 2 == 0:
            for note in song.chord(bar, size=4, octave=1):
                song.play("pad", pad, note, bar.start, 8.5 * song.beat)
        if bar.section in ("intro", "break"):
            for step, _, offset in motif:
                song.play("bell", bell, song.pitch(offset, 2), song.time(bar, step), 1.5)
    return {
        "kick": Strip(-2, send=0.02),
        "snare": Strip(-1, send=0.15),
        "hat": Strip(-9, pan=0.15),
        "bass": Strip(-3, send=0.02),
        "pad": Strip(-11, send=0.6),
        "bell": Strip(-13, pan=-0.3, send=0.7),
    }


def _breakbeat(song):
    hit = {"rate": song.rate, "rng": song.rng}
    kick = drums.kick(pitch=song.artist.uniform(55, 70), decay=0.08, click=0.5, **hit)
    pitch = song.artist.uniform(200, 270)
    snare = drums.snare(pitch=pitch, decay=song.artist.uniform(0.06, 0.1), wires=0.7, **hit)
    hat = drums.hat(decay=song.artist.uniform(0.02, 0.05), edge=6500.0, **hit)
    ride = drums.cymbal(decay=0.25, ping=0.3, pitch=3300.0, **hit)
    kicks, snares = song.pick(*BREAKBEATS)
    hats = song.pick("7050705070507050", "7054705470547054", "7352735273527352")
    for bar in song.within("verse", "chorus"):
        song.beat_out("kick", kick, bar, kicks)
        song.beat_out("snare", snare, bar, snares)
        if bar.index % 4 == 3:
            song.beat_out("snare", snare, bar, "0000000000000456")
    for bar in song.within("intro", "verse", "chorus"):
        song.beat_out("hat", hat, bar, hats)
    for bar in song.within("chorus"):
        song.beat_out("hat", ride, bar, "5000500050005000")


AMBIENT = Form(
    tempo=(56, 72),
    modes=("lydian", "major", "dorian"),
    progressions=((0, 0, 3, 3), (0, 4, 3, 3), (0, 2, 5, 3), (0, 0, 1, 0)),
    sections=(("intro", 1), ("verse", 1), ("chorus", 1), ("verse", 1)),
)


def ambient(song):
    """Slow overlapping pads, a drone and sparse bells in a large room; no drums."""
    artist = song.artist
    pad = partial(
        instruments.pad,
        rate=song.rate,
        shape=song.pick("saw", "saw", "triangle", "pulse"),
        cutoff=artist.uniform(600, 2400),
        cents=artist.uniform(5, 14),
        motion=song.rng.uniform(0.05, 0.25),
    )
    drone = partial(instruments.ensemble, rate=song.rate, shape="triangle", cents=4.0)
    bell = partial(instruments.bell, rate=song.rate, decay=artist.uniform(1.0, 2.5))
    choir = partial(instruments.sing, rate=song.rate, vowels=("u", "o"), vibrato=0.005)
    bell_chance, choir_chance = artist.uniform(0.1, 0.5), artist.uniform(-0.5, 1.0)
    has_choir = song.rng.random() < choir_chance
    song.play("drone", drone, song.tonic - 12, 0.0, song.seconds)
    for bar in song.bars:
        notes = song.chord(bar, size=song.pick(3, 4), octave=song.pick(0, 1))
        for note in notes:
            late = song.rng.uniform(0, 0.8)
            song.play("pad", pad, note, bar.start + late, 7 * song.beat, song.rng.uniform(0.6, 1))
        if has_choir and bar.section != "intro":
            song.play("choir", choir, notes[-1] + 12, bar.start, 4 * song.beat)
        for step in range(0, 16, 2):
            if bar.section != "intro" and song.rng.random() < bell_chance:
                degree = bar.degree + song.pick(0, 2, 4, 6, 8)
                song.play("bell", bell, song.pitch(degree, 2), song.time(bar, step), 4.0)
    song.mix.process(
        "drone",
        lambda sound: sound * instruments.envelope(len(sound), song.rate, attack=2.0, release=2.0),
    )
    return {
        "drone": Strip(-8, send=0.2),
        "pad": Strip(0, pan=-0.1, send=0.8),
        "bell": Strip(-10, pan=0.4, send=0.9),
        "choir": Strip(-9, pan=-0.3, send=0.9),
    }


CHIPTUNE = Form(
    tempo=(132, 176),
    modes=("major", "minor", "minor"),
    progressions=((0, 4, 5, 3), (0, 5, 3, 4), (5, 3, 0, 4), (0, 3, 4, 4), (0, 6, 5, 4)),
    sections=(("intro", 2), ("verse", 5), ("chorus", 5), ("break", 2), ("chorus", 5)),
)


def chiptune(song):
    """Square leads, broken chords at the speed of a video frame, a triangle bass and noise."""
    _chip_drums(song)
    artist = song.artist
    shape = ("square", "pulse")[artist.integers(2)]
    vibrato = artist.uniform(0.004, 0.016)
    lead = partial(instruments.chip_note, rate=song.rate, shape=shape, vibrato=vibrato)
    arpeggio = partial(instruments.chip_note, rate=song.rate, shape=song.pick("square", "pulse"))
    bass = partial(instruments.chip_note, rate=song.rate, shape="triangle")
    verse, chorus = song.motif(density=7), song.motif(density=9, span=7)
    parts_of_step = song.pick(1, 2, 2)
    bass_steps = song.pick(range(0, 16, 2), (0, 3, 6, 8, 11, 14), range(0, 16, 4))
    for bar in song.bars:
        notes = song.chord(bar, size=3, octave=1)
        notes = [*notes, notes[0] + 12]
        for part in range(16 * parts_of_step):
            at = bar.start + part * song.step / parts_of_step
            song.play("arpeggio", arpeggio, notes[part % 4], at, song.step / parts_of_step)
        if bar.section != "intro":
            for step in bass_steps:
                octave = 12 * (step % 4 == 2)
                song.play(
                    "bass", bass, notes[0] - 24 + octave, song.time(bar, step), song.step * 1.8
                )
        if bar.section in ("verse", "chorus"):
            for step, length, offset in chorus if bar.section == "chorus" else verse:
                note = song.pitch(bar.degree % 7 + offset, 2 - (bar.degree > 3))
                song.play("lead", lead, note, song.time(bar, step), length * song.step * 0.9)
    return {
        "kick": Strip(-5, send=0.0),
        "noise": Strip(-8, send=0.0),
        "arpeggio": Strip(-8, pan=-0.3, send=0.02),
        "bass": Strip(-2, send=0.0),
        "lead": Strip(-3, pan=0.2, send=0.05),
    }


def _chip_drums(song):
    hit = {"rate": song.rate, "rng": song.rng}
    kick = drums.chip_noise(decay=0.03, hold=40, **hit)
    snare = drums.chip_noise(decay=song.artist.uniform(0.04, 0.09), hold=3, **hit)
    hat = drums.chip_noise(decay=song.artist.uniform(0.008, 0.02), hold=1, **hit)
    kicks = song.pick("9000000090000000", "9000009090000000", "9000900090009000")
    hats = song.pick("5050505050505050", "5033503350335033", "0050005000500050")
    for bar in song.within("verse", "chorus"):
        song.beat_out("kick", kick, bar, kicks)
        song.beat_out("noise", snare, bar, "0000800000008000")
        song.beat_out("noise", hat, bar, hats)
    for bar in song.within("break"):
        song.beat_out("noise", snare, bar, "8000000080000888")
