"""What a number of plays counts as, in the models whose sources do not say."""

import numpy as np


def counted(plays, counts):
    """Plays r as they are fitted: "plays" r, "log" log(1 + r), "once" 1.

    plays : CSR, any shape, positive where stored
    Returns CSR float32 of the same shape.
    """
    change = {"plays": np.asarray, "log": np.log1p, "once": np.ones_like}[counts]
    weighted = plays.astype(np.float32)
    weighted.data = change(weighted.data)
    return weighted
