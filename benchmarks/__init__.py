"""Side-by-side measurements against installed peers; see ``python -m benchmarks --help``."""
