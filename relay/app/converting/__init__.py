"""Exports of other systems, read as the records of `relay import`: Slack's and Mattermost's."""
