"""Programs around the package: benchmarks, GPU checks, endurance, the training recipe of `motion`."""
