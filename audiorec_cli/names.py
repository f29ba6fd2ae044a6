"""Artists and titles without what people write differently."""

import re
import unicodedata

NEARLY = 90.0  # of 100: titles this alike are one, their numbers being equal
NUMBER = re.compile(r"\d+|\b[ivx]+\b")  # "Part II" is not "Part III"
# Words of a suffix that names another pressing of the same recording. A live take, a remix, a demo
# or an instrumental is another recording.
PRESSINGS = (
    r"(?:\d{4} |digital(?:ly)? |new |original |single |album |radio |stereo |mono |deluxe |"
    r"expanded |anniversary |explicit |bonus )*"
    r"(?:re-?master(?:ed)?|version|edit|edition|mix|mono|stereo|explicit|bonus track|"
    r"single|album|deluxe)(?: \d{4})?"
)
SUFFIX = re.compile(rf"\s*(?:[(\[]{PRESSINGS}[)\]]|[-–—] {PRESSINGS})\s*$")


def plain(name):
    """Lower case, without accents, punctuation or repeated spaces; "!!!" stays as it is."""
    return _words(_folded(name)) or name.strip().casefold()


def normalised(name):
    """A name without what people write differently: case, accents, punctuation, "feat.", "the".

    A name of punctuation alone ("!!!") stays as it is.
    """
    folded = _folded(name).replace("&", " and ")
    without = re.sub(r"[\(\[]?\b(feat|ft|featuring)\b\.?.*$", "", folded)
    words = re.sub(r"[^\w]+|_", " ", without.replace("'", "").replace("’", "")).split()
    if words[:1] == ["the"] and words[1:] not in ([], ["the"]):
        words = words[1:]
    return " ".join(words) or name.strip().casefold()


def is_nearly_same_title(one, other):
    """Whether two titles of an artist mean one recording: "Juicy" and "Juicy (2005 Remaster)"."""
    from rapidfuzz import fuzz

    one, other = (normalised(SUFFIX.sub("", _folded(title))) for title in (one, other))
    if not one or NUMBER.findall(one) != NUMBER.findall(other):
        return False
    return fuzz.ratio(one, other) >= NEARLY


def _folded(name):
    folded = unicodedata.normalize("NFKD", name.casefold())
    return "".join(char for char in folded if not unicodedata.combining(char))


def _words(text):
    return " ".join(re.sub(r"[^\w]+", " ", text).split())
