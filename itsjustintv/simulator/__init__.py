"""
A simulated Twitch and a receiver on loopback, for demonstrations, tests and benchmarks. The daemon never imports it.
"""
