"""Real tables, the demonstration, and the benchmark suite; not part of the package."""
