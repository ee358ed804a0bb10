"""What a user can spend, where its bound is, and the test that reaches it."""

from __future__ import annotations

from typing import Final, NamedTuple


class Bound(NamedTuple):
    """One bound.

    Attributes:
        spent: what a user, or somebody without an account, can spend.
        where: the bound: a setting as `limits.pending`, a plugin's option as `plugins.remind.per_user`, a constant as
            `relay.services.blocks:MOST`, or a method that refuses a second one, as `relay.services.exporting:Exports.archive`.
        test: the test that reaches it: `FILE::FUNCTION`, below `tests`.
    """

    spent: str
    where: str
    test: str


_SPENT: Final = "e2e/test_attack.py::test_what_a_user_spends_of_the_processor_is_bounded_and_others_talk_on"

BOUNDS: Final = (
    # Connections and bytes.
    Bound("connections of a user", "limits.connections_per_user", "transports/test_greeting.py::test_the_connections_of_a_user_are_limited"),
    Bound("connections of an address", "limits.connections_per_address", "transports/test_front_door.py::test_connections_of_one_address_are_limited_and_a_place_is_given_back"),
    Bound("connections of a server", "limits.connections", "services/test_connections.py::test_one_user_and_the_whole_server_have_their_limits"),
    Bound("connections that say nothing", "limits.strangers_per_address", "e2e/test_flooding.py::test_silent_connections_of_one_address_make_room_for_those_who_ask"),
    Bound("hellos", "limits.hellos_per_minute", "transports/test_greeting.py::test_the_hellos_of_an_address_are_limited"),
    Bound("the head of a request", "limits.head_bytes", "transports/test_front_door.py::test_a_head_over_the_limit_is_refused"),
    Bound("a frame", "limits.frame_bytes", "e2e/test_frames.py::test_a_frame_one_byte_over_the_limit_is_closed_with_1009"),
    Bound("a body", "limits.body_bytes", "transports/rest/test_problems.py::test_a_body_over_the_limit_is_refused"),
    Bound("pings and small fragments", "limits.small_frames_per_second", "e2e/test_flooding.py::test_a_stranger_who_floods_with_small_frames_is_closed_and_others_talk_on"),
    Bound("frames that are none", "limits.bad_frames", "transports/test_session.py::test_what_is_not_the_protocol_is_answered_then_closed"),
    Bound("bytes of messages", "limits.message_bytes_per_second", "transports/test_session.py::test_a_users_bytes_are_read_at_a_pace_and_refused_to_nobody"),
    Bound("memory of what waits for a reader, in bytes", "limits.queue_bytes", "e2e/test_slow_reader.py::test_one_who_never_reads_is_cut_at_the_bound_and_disturbs_nobody"),
    Bound("memory of what waits for a reader, in messages", "limits.queue_messages", "transports/test_session.py::test_a_reader_that_never_reads_is_cut_and_loses_nothing"),
    # Messages.
    Bound("messages in the long run", "limits.messages_per_second", "services/test_limits.py::test_messages_are_counted_by_user_by_connection_and_by_address"),
    Bound("messages at once", "limits.messages_burst", "services/test_limits.py::test_without_the_narrower_limits_only_the_user_counts"),
    Bound("messages of a device", "limits.connection_messages_per_second", "services/test_limits.py::test_messages_are_counted_by_user_by_connection_and_by_address"),
    Bound("messages of an address", "limits.address_messages_per_second", "services/test_limits.py::test_messages_are_counted_by_user_by_connection_and_by_address"),
    Bound("typing and the like", "limits.typing_per_second", "services/test_limits.py::test_transient_messages_are_counted_apart"),
    Bound("what lasts a while", "relay.services.ephemeral:MAX_PER_USER", "services/test_ephemeral.py::test_a_user_has_so_many_and_no_more"),
    Bound("acks, heartbeats and refused messages", "limits.events_per_second", "e2e/test_flooding.py::test_a_user_who_sends_events_without_end_is_slowed_down_and_others_talk_on"),
    Bound("messages of a connection that have no answer yet", "limits.in_flight", "transports/test_inbox.py::test_no_more_is_read_than_may_be_in_flight"),
    Bound("messages that wait for the disk", "limits.pending", "services/test_router.py::test_too_many_that_wait_are_answered_overloaded"),
    Bound("characters of a message", "limits.content_characters", "engine/test_dispatch.py::test_content_has_as_many_characters_as_are_allowed"),
    Bound("reactions to a message", "limits.reactions_per_message", "plugins/test_reaction.py::test_a_user_has_so_many_different_reactions_to_a_message_and_no_more"),
    Bound("pins of a conversation", "plugins.pin:MOST", "plugins/test_pin.py::test_fifty_messages_are_pinned_at_most"),
    Bound("streams", "plugins.message_stream.streams_per_user", "plugins/message_stream/test_message_stream.py::test_streams_are_bounded_in_number_and_length"),
    Bound("pieces of streams", "plugins.message_stream.pieces_per_second", "plugins/message_stream/test_message_stream.py::test_pieces_have_a_rate_of_their_own"),
    Bound("calls of bots", "plugins.bots.invocations_per_minute", "plugins/bots/test_invocations.py::test_too_many_invocations_a_minute_are_refused"),
    Bound("calls of an incoming webhook", "plugins.webhooks.incoming_per_minute", "plugins/webhooks/test_incoming.py::test_each_incoming_webhook_has_a_rate_of_its_own"),
    # Reading.
    Bound("bytes of a page", "limits.page_bytes", "transports/rest/test_page_bytes.py::test_a_page_of_history_is_as_long_as_its_bytes_allow_and_nothing_is_left_out"),
    Bound("pages at once", "limits.pages_at_once", "transports/rest/test_page_bytes.py::test_so_many_pages_are_read_at_once_and_the_next_waits"),
    # The processor, and the disk.
    Bound("searches at once", "storage.readers", _SPENT),
    Bound("the time of a search", "storage.read_seconds", "storage/test_runners.py::test_a_users_read_is_interrupted_when_its_time_is_over_and_its_reader_goes_on"),
    Bound("many words to search for, in long messages", "storage.readers", "e2e/test_costly_reading.py::test_many_terms_over_long_messages_hold_nobody_up"),
    Bound("searches on the socket", "limits.typing_per_second", "services/test_limits.py::test_transient_messages_are_counted_apart"),
    Bound("reports of messages", "limits.messages_burst", _SPENT),
    Bound("exports of one's account", "relay.services.exporting:Exports.archive", _SPENT),
    Bound("calls of bots", "plugins.bots.invocations_per_minute", _SPENT),
    Bound("answers of a bot", "plugins.bots.answers", "plugins/bots/test_responses.py::test_there_are_only_so_many_answers"),
    Bound("calls of an incoming webhook", "plugins.webhooks.incoming_per_minute", _SPENT),
    Bound("deliveries of a webhook at once", "plugins.webhooks.conversations_at_once", "plugins/webhooks/test_delivery.py::test_no_more_conversations_are_served_at_once_than_set"),
    Bound("deliveries of all webhooks at once", "plugins.webhooks.at_once", "plugins/webhooks/test_delivery.py::test_no_more_conversations_are_served_at_once_than_set"),
    Bound("deliveries of a webhook", "plugins.webhooks.attempts_per_second", "plugins/webhooks/test_delivery.py::test_attempts_keep_within_their_rate"),
    Bound("guesses at invites", "limits.logins_per_minute", _SPENT),
    # What is kept of a user.
    Bound("groups", "limits.groups_per_user", "services/test_groups.py::test_nobody_but_oneself_uses_up_how_many_groups_one_may_make"),
    Bound("members of a group", "limits.group_members", "services/test_groups.py::test_members_beyond_the_limit_are_refused_also_at_once"),
    Bound("devices that are known", "limits.devices_per_user", "transports/test_greeting.py::test_a_user_has_so_many_devices_and_loses_nothing_by_it"),
    Bound("logins", "limits.logins_per_user", "services/test_logins.py::test_one_login_too_many_ends_the_one_used_longest_ago"),
    Bound("people whom one follows", "limits.following_per_user", "services/test_presence.py::test_one_follows_so_many_and_no_more"),
    Bound("people whom one blocks", "relay.services.blocks:MOST", "services/test_blocks.py::test_whom_one_may_block"),
    Bound("reminders that wait", "plugins.remind.per_user", "plugins/remind/test_remind.py::test_what_is_wrong_is_refused_and_named"),
    Bound("push targets", "plugins.notifications.targets_per_user", "plugins/notifications/test_targets.py::test_a_user_has_so_many_targets_and_no_more"),
    # Files.
    Bound("uploads", "limits.uploads_per_minute", "transports/rest/test_attachments.py::test_uploads_are_limited_in_rate"),
    Bound("uploads at once", "attachments.uploads_at_once", "services/test_attachments.py::test_so_many_uploads_at_once_and_no_more"),
    Bound("the time of an upload", "attachments.upload_minutes", "services/test_attachments.py::test_an_upload_that_takes_too_long_is_refused_and_leaves_nothing"),
    Bound("the size of a file", "attachments.max_bytes", "services/test_attachments.py::test_too_large_and_over_the_quota_are_refused_as_they_come"),
    Bound("bytes of files", "attachments.quota_bytes", "services/test_attachments.py::test_too_large_and_over_the_quota_are_refused_as_they_come"),
    # Ways in.
    Bound("logins and registrations", "limits.logins_per_minute", "transports/rest/test_guessing.py::test_the_addresses_of_one_ipv6_network_are_one"),
    Bound("wrong passwords", "limits.wrong_passwords_per_hour", "transports/rest/test_guessing.py::test_guesses_at_one_account_are_counted_wherever_they_come_from"),
)  # fmt: skip

NO_BOUNDS: Final = frozenset(
    {"attachments.scan_seconds", "attachments.keep_unused_hours", "attachments.collect_minutes"}
)
"""Settings of these sections that bound nothing which a user spends."""
