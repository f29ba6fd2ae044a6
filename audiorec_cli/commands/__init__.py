"""One small file a command: arguments, loading, one call of the domain, saving or printing."""
