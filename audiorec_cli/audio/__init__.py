"""Audio files to log-mel spectrograms: walking a folder, tags, decoding, the transform."""
