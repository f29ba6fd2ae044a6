"""Working with predicted factors: finding tracks by name, nearest neighbours."""
