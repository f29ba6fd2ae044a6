"""From tracks that are asked for to the list that answers: near to them, away, on a way between."""

from typing import NamedTuple

import numpy as np

from audiorec_cli.errors import AudiorecError
from audiorec_cli.retrieval.choosing import waypoints
from audiorec_cli.retrieval.hubness import LocalScaling
from audiorec_cli.retrieval.neighbors import cosines

AWAY = 0.5  # what a track that is ruled out weighs against one that is asked for
OPPOSITE = 1e-4  # the length of a sum of directions that cancel each other out


class Asked(NamedTuple):
    """The rows that a request names.

    near : to be near to, in the order given; away : to be away from; goal : where a path ends
    is_playlist : whether they are those of a playlist to go on with
    """

    near: list[int]
    away: list[int]
    goal: int | None
    is_playlist: bool


class Space:
    """Where tracks lie, and the ranking of them by their nearness to a direction.

    coordinates : (n, n_factors) of unit norm, or zero for tracks of which nothing is known, which
        are never ranked; tracks : Tracks; spread : rank hubs lower
    """

    def __init__(self, coordinates, tracks, *, spread=False):
        self.coordinates, self._tracks = coordinates, tracks
        self._known = np.flatnonzero(coordinates.any(axis=1))
        self._scaling = LocalScaling(coordinates[self._known]) if spread else None

    def direction(self, asked):
        """What lies towards the tracks asked for and away from those ruled out, of any length.

        Rocchio, "Relevance feedback in information retrieval", 1971.
        """
        for row in (*asked.near, *asked.away):
            self._require_known(row)
        together = self.coordinates[asked.near].mean(axis=0)
        if asked.away:
            together = together - AWAY * self.coordinates[asked.away].mean(axis=0)
        if np.linalg.norm(together) < OPPOSITE:
            raise AudiorecError(
                "these tracks lie opposite each other: ask for one at a time"
                if not asked.away
                else "what is asked for lies where what is ruled out does: ask for another track"
            )
        return together

    def steps(self, start, end, k):
        """k directions in even steps from one track's to another's, as many as there are tracks."""
        self._require_known(start)
        self._require_known(end)
        try:
            ends = self.coordinates[start], self.coordinates[end]
            return waypoints(*ends, min(k, len(self._known)))
        except ValueError as error:
            raise AudiorecError(
                "the two tracks lie opposite each other, so every way is as short: walk by a "
                "third, in two paths"
            ) from error

    def ranked(self, direction):
        """Rows of the known tracks, the nearest to a direction first, and the cosine of each."""
        scores = cosines(direction, self.coordinates[self._known])
        if self._scaling is None:
            order = np.argsort(-scores, kind="stable")
        else:
            order = self._scaling.rank(scores)
        return self._known[order].tolist(), scores[order].tolist()

    def _require_known(self, row):
        if not self.coordinates[row].any():
            name = self._tracks.name(row)
            raise AudiorecError(f"the log has no factors of {name}: use --by factors or usage")


def answered(asked, space, chooser, *, k, min_score=None, no_query=False):
    """The list that is asked for: pairs of (row, score), the score a cosine.

    chooser : Chooser with the rules of the list, empty; k : tracks in it, those asked for among
        them unless no_query leaves them out; k more than there are in a playlist that goes on
    """
    lowest = -np.inf if min_score is None else min_score
    if asked.goal is not None:
        return _walked(asked, space, chooser, k, lowest, no_query)
    rows, scores = space.ranked(space.direction(asked))
    score_of = dict(zip(rows, scores, strict=True))
    listed = [] if no_query else asked.near
    if not asked.is_playlist:
        listed = listed[:k]
    for row in (*asked.near, *asked.away):
        chooser.take(row, counts=row in listed)
    candidates = (row for row in rows if score_of[row] >= lowest)
    n = k if asked.is_playlist else k - len(listed)
    return [(row, score_of[row]) for row in (*listed, *chooser.fill(candidates, n))]


def _walked(asked, space, chooser, k, lowest, no_query):
    """A path: at each step the nearest track that is left, from the first track to the goal."""
    start, goal = asked.near[0], asked.goal
    for row in (start, goal):
        chooser.take(row, counts=not no_query)
    between = []
    for direction in space.steps(start, goal, k)[1:-1]:
        rows, scores = space.ranked(direction)
        score_of = dict(zip(rows, scores, strict=True))
        chosen = chooser.fill((row for row in rows if score_of[row] >= lowest), 1)
        between += [(row, score_of[row]) for row in chosen]
    return between if no_query else [(start, 1.0), *between, (goal, 1.0)]
