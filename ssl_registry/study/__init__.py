"""Several runs as one: compared, and reported together."""
