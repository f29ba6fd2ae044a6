"""The convolutional network: architecture, loading, training, inference, activations."""
