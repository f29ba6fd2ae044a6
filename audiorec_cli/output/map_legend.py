"""Colours and names of the groups of a map, for pictures and pages alike."""

from collections import Counter
from dataclasses import dataclass

from audiorec_cli.output.writing import one_line

# Between each two of these and OTHER_COLOR lies an OKLab distance of at least 0.09, as they are and
# as red- and green-blind people see them; all stand out from white and from black.
PALETTE = ("#4159d4", "#fd9320", "#68ca80", "#be2517", "#a672cb",
           "#236c57", "#e2aace", "#ce6f33", "#e584fb", "#a1319b")  # fmt: skip
OTHER_COLOR = "#8c8c8c"
OTHERS = "others"


@dataclass(frozen=True)
class Coloring:
    """The colour of each track, and what the colours stand for.

    colors : n texts "#rrggbb"; legend : (name, colour, number of tracks), the commonest first,
        with what has no colour of its own as the last
    """

    colors: list[str]
    legend: list[tuple[str, str, int]]


def color_groups(groups):
    """A colour for each of the commonest groups, and grey for all other tracks.

    groups : n names, "" for a track without a group; a group of one gets no colour
    Returns a Coloring; equally common groups rank by name.
    """
    counts = sorted(Counter(groups).items(), key=lambda item: (-item[1], item[0]))
    common = [(name, count) for name, count in counts if name and count > 1][: len(PALETTE)]
    color_of = {name: color for (name, _), color in zip(common, PALETTE, strict=False)}
    legend = [(one_line(name), color_of[name], count) for name, count in common]
    n_others = len(groups) - sum(count for _, count in common)
    if n_others:
        legend.append((OTHERS, OTHER_COLOR, n_others))
    return Coloring([color_of.get(name, OTHER_COLOR) for name in groups], legend)


def point_size(n_tracks):
    """Diameter of a track's point, smaller where there are more, in pixels of a screen."""
    return min(11.0, max(3.0, 40 / n_tracks**0.25))
