"""What a stream holds that cannot be written does not count at the end."""

from pathlib import Path

from relay.app.output import end


def test_what_could_not_be_written_is_dropped_at_the_end() -> None:
    with open("/dev/full", "w") as full:
        full.write("a line of the log\n")
        assert end(full) is False
        full.flush()  # as the interpreter does at its end


def test_what_can_be_written_is_written_at_the_end(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as log:
        log.write("a line of the log\n")
        assert end(log) is True
        assert (tmp_path / "log").read_text() == "a line of the log\n"


def test_a_stream_that_the_shell_closed_has_nothing_to_write() -> None:
    assert end(None) is True
