"""The services: everything that a server does for its users, apart from sockets and HTTP.

    connections.py    WebSocketManager   the registry of connections: users and their devices
    channels.py       ChannelManager     conversations: of two users, of a group, of everybody
    router.py         MessageRouter      gathers messages, commits them, then sends acks and deliveries
    envelopes.py                         messages as clients are sent them
    history.py        HistorySaver       pages of messages, the list of conversations, unread counts
    offline_queue.py  OfflineQueue       replays of what a device missed, and acks
    presence.py       PresenceService    who is present, told to the followers who may see it
    ephemeral.py      Indicators         typing, and other indicators that end by themselves
    accounts.py, groups.py, attachments.py, permissions.py, limits.py, heartbeat.py

Rule 1: permissions are decided here, on every path, and nowhere else.

Rule 2: nothing here knows of sockets or HTTP. A connection is an outbox and a `Link` that sends it.
"""
