"""The second floor: the seed's components, by the seed's names.

    connections.py    WebSocketManager   who is connected, with which devices
    channels.py       ChannelManager     conversations: user to user, group, broadcast
    router.py         MessageRouter      gather, commit, then fan out
    history.py        HistorySaver       what was said, as envelopes
    offline_queue.py  OfflineQueue       what a device has not had yet, and replaying it
    accounts.py, groups.py, permissions.py, limits.py

Rule 1: whether somebody may do something is decided here, on every path, and nowhere else.

Rule 2: nothing here knows of sockets or HTTP. A connection is an outbox and a `Link` to wake.
"""
