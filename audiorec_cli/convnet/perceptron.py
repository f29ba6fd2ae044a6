"""The end of every network here: hidden dense layers and an output layer."""

import math
from itertools import pairwise

from torch import nn

from audiorec_cli.convnet.layers import ACTIVATIONS, MAXOUT_PIECES, NORMALIZATIONS


class Perceptron(nn.Module):
    """Hidden dense layers and an output layer over features.

    settings : NetworkSettings, with the units of the hidden layers and what goes on between them
    n_features, n_outputs : how many numbers it is given, and gives
    drop_features : drop out the features too, not only what the hidden layers give
    """

    def __init__(self, settings, *, n_features, n_outputs, drop_features=True):
        super().__init__()
        units = (n_features, *settings.dense_units)
        self.dense = nn.ModuleList(
            linear_of(settings, nn.Linear, n_in=n_in, n_out=n_out)
            for n_in, n_out in pairwise(units)
        )
        self.dense_norms = norms_of(settings, self.dense)
        self.feature_norm = NORMALIZATIONS[settings.normalization](n_features)
        self.output = nn.Linear(units[-1], n_outputs)
        self.dropout = nn.Dropout(settings.dropout)
        self._drop_features = drop_features
        self._activate = ACTIVATIONS[settings.activation]

    def dense_activations(self, features):
        """Yield the activations (…, n_units) of each hidden layer, given (…, n_features)."""
        hidden = self.feature_norm(features, dim=-1)
        for number, (dense, norm) in enumerate(zip(self.dense, self.dense_norms, strict=True)):
            if number > 0 or self._drop_features:
                hidden = self.dropout(hidden)
            hidden = self._activate(norm(dense(hidden), dim=-1), dim=-1)
            yield hidden

    def outputs_of(self, hidden):
        """The outputs (…, n_outputs), given the activations (…, n_units) of the last layer."""
        return self.output(self.dropout(hidden))


def linear_of(settings, layer, *, n_in, n_out, **shape):
    """A linear layer for units of the settings' activation, as torch begins it.

    layer : its torch class; n_in : numbers it is given; n_out : units, each of several functions
        where they are maxout, whose weights begin smaller by the root of their number
    shape : what else the class is told
    """
    pieces = MAXOUT_PIECES if settings.activation == "maxout" else 1
    linear = layer(n_in, pieces * n_out, **shape)
    # the larger of two has twice the mean square of a rectified unit, which a learning rate
    # that suits these does not bear
    linear.weight.data /= math.sqrt(pieces)
    return linear


def norms_of(settings, layers):
    """The settings' normalization of what each of the linear layers gives, as a ModuleList."""
    normalization = NORMALIZATIONS[settings.normalization]
    return nn.ModuleList(normalization(len(layer.bias)) for layer in layers)
