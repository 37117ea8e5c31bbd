"""
Everything that is Twitch: its webhooks coming in, its API going out.
"""
