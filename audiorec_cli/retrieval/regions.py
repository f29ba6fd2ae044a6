"""The dense regions of a map, and what to call them."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
from sklearn.neighbors import NearestNeighbors

LEAST_NEAR = 5  # tracks around one that tell its density; otherwise half the root of all
# Names are written across, so that regions may lie closer above each other than side by side.
SPACING = np.array([0.4, 0.1])  # of a map between -1 and 1


@dataclass(frozen=True)
class Region:
    """A dense place of the map: x and y as in the map, and the group that is typical of it."""

    x: float
    y: float
    name: str


def find_regions(xy, groups, n_regions):
    """The densest places of a map that lie apart, each named by the group typical of it.

    xy : (n, 2) float32 between -1 and 1; groups : n names, "" for none
    A place is a track denser than its nearest ones; its density is one over the distance to the
    last of them. Its name is the group that is there most against chance, among twice as many.
    A place without such a group, or whose group already names a denser one, is passed over.
    Returns at most n_regions Regions, the densest first, no two of the same name.
    """
    n_near = max(LEAST_NEAR, round(len(xy) ** 0.5 / 2))
    around = NearestNeighbors(n_neighbors=min(len(xy), 2 * n_near)).fit(xy)
    distances, neighbors = around.kneighbors(xy)
    totals, regions = Counter(groups), []
    for row in _peaks(distances[:, :n_near][:, -1], neighbors[:, :n_near]):
        if len(regions) == n_regions:
            break
        name = _typical_group([groups[i] for i in neighbors[row]], totals)
        if name and _is_apart(xy[row], name, regions):
            regions.append(Region(float(xy[row, 0]), float(xy[row, 1]), name))
    return regions


def _peaks(radius, neighbors):
    """Rows that are denser than all their neighbours, the densest first.

    radius : (n,), distance to the last neighbour; neighbors : (n, n_neighbors) rows
    """
    by_density = np.lexsort((np.arange(len(radius)), radius))
    rank = np.empty(len(radius), dtype=np.int64)
    rank[by_density] = np.arange(len(radius))
    return by_density[(rank[neighbors].min(axis=1) >= rank)[by_density]]


def _typical_group(names, totals):
    """The group that is there most often against chance: n · log(share here / share overall).

    names : of the tracks of a place; totals : Counter of all tracks
    Returns "" where no group has two tracks there and more of them than by chance.
    """
    n_tracks, best, most = totals.total(), "", 0.0
    for name, count in sorted(Counter(names).items()):
        surprise = count * np.log(count / len(names) * n_tracks / totals[name])
        if name and count > 1 and surprise > most:
            best, most = name, surprise
    return best


def _is_apart(place, name, regions):
    return all(
        name != region.name and (np.abs(place - (region.x, region.y)) > SPACING).any()
        for region in regions
    )
