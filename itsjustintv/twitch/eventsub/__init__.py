"""
EventSub: messages arrive by a transport, subscriptions are reconciled with the configuration.
"""
