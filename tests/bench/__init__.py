"""Performance, as ratios within one run: machines are shared and noisy, so no test asserts a time."""
