"""
All that is Twitch: EventSub's messages in, requests to Helix out, and what is found out with them.
"""
