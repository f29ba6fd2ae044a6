"""Artists and titles without what people write differently."""

import re
import unicodedata

NEARLY = 90.0  # of 100: titles this alike are one, their numbers being equal
NUMBER = re.compile(r"\d+|\b[ivx]+\b")  # "Part II" is not "Part III"
# Words that, alone in brackets or behind a dash, name another pressing of the same recording. A
# live take, a remix, a demo or an instrumental is another recording.
PRESSING = frozenset(
    ("album", "anniversary", "bonus", "clean", "deluxe", "digital", "digitally", "edit", "edition",
     "expanded", "explicit", "master", "mix", "mono", "original", "radio", "remaster",
     "remastered", "single", "stereo", "the", "track", "version")
)  # fmt: skip
YEAR = re.compile(r"(19|20)\d\d")
RE_MASTER = re.compile(r"\bre(?= master)")
GUEST = re.compile(r"\b(feat|ft|featuring)\b\.?.*?(?=$|[)(\]\[]|\s[-–—]\s)", re.DOTALL)
ASIDE = re.compile(r"[()\[\]]|\s[-–—]\s")
BETWEEN_ARTISTS = re.compile(r"\s*[,;]\s+|\s+[/&]\s+")  # "10,000 Maniacs" and "AC/DC" are one


def plain(name):
    """Lower case, without accents, punctuation or repeated spaces; "!!!" stays as it is."""
    return _words(_folded(name)) or name.strip().casefold()


def normalised(name):
    """A name without what people write differently: case, accents, punctuation, "feat.", "the".

    A name of punctuation alone ("!!!") stays as it is.
    """
    folded = _folded(name).replace("&", " and ")
    without = GUEST.sub("", folded)
    words = re.sub(r"[^\w]+|_", " ", without.replace("'", "").replace("’", "")).split()
    if words[:1] == ["the"] and words[1:] not in ([], ["the"]):
        words = words[1:]
    return " ".join(words) or name.strip().casefold()


def is_nearly_same_title(one, other):
    """Whether two titles of an artist mean one recording: "Juicy" and "Juicy (2005 Remaster)"."""
    from rapidfuzz import fuzz

    one, other = recording(one), recording(other)
    if not one or NUMBER.findall(one) != NUMBER.findall(other):
        return False
    return fuzz.ratio(one, other) >= NEARLY


def recording(title):
    """A title, normalised, without what is said of its pressing: of "Juicy (Remastered)" juicy."""
    first, *asides = ASIDE.split(GUEST.sub("", _folded(title)))
    told = [aside for aside in asides if not _names_a_pressing(aside)]
    if len(told) < len(asides):  # a year alone tells takes apart, beside a pressing it is of that
        told = [aside for aside in told if not YEAR.fullmatch(aside.strip())]
    return normalised(" ".join([first, *told]))


def first_artist(artists):
    """The first of those that a tag lists: "A" of "A, B"; an artist may have such a name, too."""
    return BETWEEN_ARTISTS.split(artists.strip(), maxsplit=1)[0]


def _names_a_pressing(aside):
    words = RE_MASTER.sub("", _words(aside)).split()
    return not PRESSING.isdisjoint(words) and all(
        word in PRESSING or YEAR.fullmatch(word) for word in words
    )


def _folded(name):
    folded = unicodedata.normalize("NFKD", name.casefold())
    return "".join(char for char in folded if not unicodedata.combining(char))


def _words(text):
    return " ".join(re.sub(r"[^\w]+", " ", text).split())
