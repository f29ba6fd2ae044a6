"""Listening logs to latent factors: reading logs, factorization."""
