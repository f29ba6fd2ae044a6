"""How good a model is: figures of its rankings, their uncertainty, and what it must beat."""
