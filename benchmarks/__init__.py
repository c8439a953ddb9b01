"""Benchmarks: ratios within one run, on the embedded server. `make bench` prints them."""
