"""Pages of lists."""

from __future__ import annotations

import pytest

from relay.http.views import page_of


@pytest.mark.parametrize(
    ("rows", "page"),
    [
        ([], ([], False, None)),
        ([1, 2], ([1, 2], False, None)),
        ([1, 2, 3], ([1, 2, 3], False, None)),
        ([1, 2, 3, 4], ([1, 2, 3], True, "after 3")),
    ],
)
def test_a_row_beyond_the_limit_means_another_page(
    rows: list[int], page: tuple[list[int], bool, str | None]
) -> None:
    assert page_of(rows, 3, lambda row: f"after {row}") == page
