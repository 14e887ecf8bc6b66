"""The points of `scripts/gpu_check`, each a module: `SECONDS`, `measure(plan)` and `markdown(figures)`."""
