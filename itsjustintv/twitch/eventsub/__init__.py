"""
EventSub: messages in by a transport, subscriptions kept as the configuration has them.
"""
