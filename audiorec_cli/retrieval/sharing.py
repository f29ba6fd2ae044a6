"""What the tracks of a list have in common, beyond what any tracks have."""

from collections import Counter
from typing import NamedTuple

from scipy.stats import hypergeom

UNLIKELY = 0.05  # that chance alone makes any of the tags as common


class Shared(NamedTuple):
    """The commonest tag of a kind in a list.

    kind : "genre", "artist" …; value : the tag; n_listed : of n tracks listed, how many have it
    expected : the share of all tracks that have it, and so of a list drawn by chance, 0 to 1
    stands_out : chance alone hardly makes any tag of any kind as common as that
    """

    kind: str
    value: str
    n_listed: int
    n: int
    expected: float
    stands_out: bool

    def __str__(self):
        mark = "" if self.stands_out else "; may be luck"
        listed = f"{self.n_listed} of {self.n}"
        return f"{self.kind} {self.value} {listed} ({self.expected:.0%} expected by chance{mark})"


class Sharing:
    """Tells what lists of tracks share.

    tags : {kind: (n,) texts, "" where a track has none}, of all tracks that lists are drawn from
    """

    def __init__(self, tags):
        self._tags = tags
        self._counts = {kind: Counter(filter(None, values)) for kind, values in tags.items()}
        self._n_values = sum(map(len, self._counts.values()))

    def of(self, rows):
        """The Shared of each kind that some two of these rows have in common, the rarest first.

        How likely chance is to make a tag as common is that of drawing rows without putting any
        back (hypergeometric), times the number of tags that might have come out (Bonferroni).
        """
        found = []
        for kind, values in self._tags.items():
            listed = Counter(filter(None, (values[row] for row in rows)))
            counts, n = self._counts[kind], len(values)
            chances = {
                value: _chance(n_listed, counts[value], n, len(rows))
                for value, n_listed in listed.items()
                if n_listed > 1
            }
            if chances:
                value = min(chances, key=lambda v: (chances[v], -listed[v], v))
                stands_out = chances[value] * self._n_values < UNLIKELY
                shared = Shared(
                    kind, value, listed[value], len(rows), counts[value] / n, stands_out
                )
                found.append((chances[value], shared))
        return [shared for _, shared in sorted(found, key=lambda pair: pair[0])]


def _chance(n_listed, n_tagged, n, k):
    """The chance that at least n_listed of k rows drawn from n are among n_tagged."""
    return float(hypergeom.sf(n_listed - 1, n, n_tagged, k))
