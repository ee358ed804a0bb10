"""Ways of signing in that a plugin adds to relay's page: a button beside the password's form."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
_PATH: Final = re.compile(r"/api(/[A-Za-z0-9_.~-]+)+")
_LONGEST_TITLE: Final = 60


@dataclass(frozen=True, kw_only=True)
class SignInWay:
    """A way of signing in, as a button on relay's page. Register it from `relay_sign_in_ways`.

    Args:
        name: of the way, as in the page's address: lower-case letters, digits, `_` and `-`.
        title: what people call it: "Keycloak". The button says "Sign in with Keycloak".
        path: where the plugin's own views for it begin, such as `/api/oidc/keycloak`. The page opens `PATH/start`;
            the plugin leads the browser back to the page at `#way=NAME:CODE`, or at `#way-failed=REASON`; the page
            exchanges the code by `POST PATH/finish` for a login, which `Users.sign_in` makes.
        linkable: whether a signed-in user connects their account with it in the settings, by
            `POST PATH/link/start`, `POST PATH/link`, `GET PATH/link` and `DELETE PATH/link`.
    """

    name: str
    title: str
    path: str
    linkable: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):
            raise ValueError(
                f"SignInWay: name is {self.name!r:.80}; right is a-z, 0-9, _ and -, at most 32 of them"
            )
        if not isinstance(self.title, str) or not 0 < len(self.title.strip()) <= _LONGEST_TITLE:
            right = f"a text of at most {_LONGEST_TITLE} characters"
            raise ValueError(f"SignInWay {self.name!r}: title is {self.title!r:.80}; right is {right}")
        if not isinstance(self.path, str) or not _PATH.fullmatch(self.path):
            raise ValueError(
                f"SignInWay {self.name!r}: path is {self.path!r:.80}; it begins with /api/, as its views"
            )
