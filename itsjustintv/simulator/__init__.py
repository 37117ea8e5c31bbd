"""
A faithful Twitch on loopback, and a receiver, for demonstrations, tests and benchmarks. The daemon never imports it.
"""
