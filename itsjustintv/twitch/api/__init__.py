"""
Helix, the API of Twitch: requests, tokens, the rate limit, and look-ups in batches.
"""
