"""The acts that the audit log records: one name for each, an area and what was done."""

from __future__ import annotations

from enum import StrEnum


class Act(StrEnum):
    """The acts of relay itself; plugins have more."""

    USER_ADDED = "user.added"
    """An account was created, with `role` and `display_name`."""

    USER_IMPORTED = "user.imported"
    """Accounts were created from a list: `created` of them, and `tokens` says whether each user got one."""

    USER_RENAMED = "user.renamed"
    """The display name was changed, from `before` to `after`."""

    USER_ROLE = "user.role_changed"
    """The role on the server was changed, from `before` to `after`."""

    USER_DISABLED = "user.disabled"
    """The account was disabled."""

    USER_ENABLED = "user.enabled"
    """A disabled account was enabled again."""

    USER_ERASED = "user.erased"
    """The erasure of the account began."""

    USER_DELETED = "user.deleted"
    """The account was deleted; what its user said stays."""

    USER_EXPORTED = "user.exported"
    """Everything of the account was exported, by somebody else than its user."""

    USER_PASSWORD = "user.password_set"  # noqa: S105 - the name of an act
    """The password was set, and `logins_ended` logins with it."""

    USER_RESET_LINK = "user.reset_link_made"
    """A link was made that sets a new password."""

    USER_SECOND_FACTOR = "user.second_factor_reset"
    """The second factor was removed, for a user who has lost it."""

    INVITE_CREATED = "invite.created"
    """An invitation was made: `role`, `uses`, `expires_at`, `groups`, `label`."""

    INVITE_REVOKED = "invite.revoked"
    """An invitation was taken back."""

    TOKEN_CREATED = "token.created"  # noqa: S105 - the name of an act
    """A token of the user was made: `token_id`, `label`, `scopes`, `expires_at`."""

    TOKEN_REVOKED = "token.revoked"  # noqa: S105 - the name of an act
    """A token of the user was revoked: `token_id`."""

    DEVICE_REVOKED = "device.revoked"
    """A device of the user was revoked: `client_id`."""

    CONNECTION_ENDED = "connection.ended"
    """A connection of the user was ended, and nothing revoked: `client_id`."""

    USER_TIMED_OUT = "user.timed_out"
    """The user may only read on the server for a time: `reason`, `until`."""

    USER_TIMEOUT_LIFTED = "user.timeout_lifted"
    """The timeout was taken back: its `reason` and `until`."""

    USER_BANNED = "user.banned"
    """The account was banned from the server: `reason`, `until`."""

    USER_BAN_LIFTED = "user.ban_lifted"
    """The ban was taken back: its `reason` and `until`."""

    GROUP_MEMBER_TIMED_OUT = "group.member_timed_out"
    """The user may only read in a group for a time: `group_id`, `reason`, `until`."""

    GROUP_TIMEOUT_LIFTED = "group.timeout_lifted"
    """The timeout in a group was taken back: `group_id`, its `reason` and `until`."""

    GROUP_MEMBER_BANNED = "group.member_banned"
    """The user was banned from a group: `group_id`, `reason`, `until`."""

    GROUP_BAN_LIFTED = "group.ban_lifted"
    """The ban from a group was taken back: `group_id`, its `reason` and `until`."""

    GROUP_SLOW_MODE = "group.slow_mode_set"
    """The slow mode of a group was set, from `before` to `after` seconds; 0 is none."""

    MESSAGE_REMOVED = "message.removed"
    """Somebody else's message was removed: `author`, `reason`, `conversation`."""

    MESSAGE_TRACED = "message.traced"
    """Somebody looked at what became of a message; `user` where it was for one recipient."""

    REPORT_RESOLVED = "report.resolved"
    """The report was closed, and something was done: `note`."""

    REPORT_DISMISSED = "report.dismissed"
    """The report was closed, and nothing had to be done: `note`."""

    REPORT_REOPENED = "report.reopened"
    """A closed report was opened again: `note`."""

    GROUP_CREATED = "group.created"
    """A group was created for its owner: `name`, `members`."""

    GROUP_MEMBER_ADDED = "group.member_added"
    """Somebody was put into the group: `user_id`, `role`."""

    GROUP_ROLE = "group.role_changed"
    """A member got another role in the group: `user_id`, `role`."""

    GROUP_MEMBER_REMOVED = "group.member_removed"
    """Somebody was removed from the group: `user_id`."""

    GROUP_DELETED = "group.deleted"
    """The group was deleted."""

    NOTIFIED = "notification.sent"
    """A notification was sent to a user, a group or everybody: `message_id`, `sender_id`."""

    MESSAGES_IMPORTED = "message.imported"
    """Messages of another system were stored: `stored`, `duplicates`, `refused`."""

    SERVER_EXPORTED = "server.exported"
    """Everything was exported; `credentials` says whether with the hashes of passwords."""

    PLUGIN_RELOADED = "plugin.reloaded"
    """The plugin's code and options were loaded anew."""

    PLUGIN_UNLOADED = "plugin.unloaded"
    """The plugin was taken out."""

    PLUGIN_RESUMED = "plugin.resumed"
    """The plugin was taken back that had been set aside."""

    PLUGIN_SET_ASIDE = "plugin.set_aside"
    """The plugin was set aside: `reason`."""

    PLUGIN_OPTIONS = "plugin.options_changed"
    """Options of the plugin were changed: their names, `options`."""

    PLUGIN_JOB = "plugin.job_run"
    """A job of the plugin was made due: `schedule`, `key`."""

    SETTINGS_RELOADED = "settings.reloaded"
    """The settings were read again: the keys that changed, `applied`, and those that wait, `after_restart`."""

    BACKUP_MADE = "backup.made"
    """Somebody had a backup made: `bytes`."""

    BACKUP_DOWNLOADED = "backup.downloaded"
    """An owner downloaded a backup, with everything in it."""

    DATABASE_RESTORED = "backup.restored"
    """The database was restored, before this start: `from` which file, `at`."""

    LEADER_MOVED = "cluster.leader_moved"
    """Another node of the cluster was made its leader, in the place of `before`."""

    SAMPLE_ADDED = "sample.added"
    """The sample data was added, in `language`."""

    SAMPLE_REMOVED = "sample.removed"
    """The removal of the sample data began."""
