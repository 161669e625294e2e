"""Secrets in URLs: what a sweep file may not hold, and what nothing may show.

A sweep file is printed, and recorded with the results. Credentials come from where a machine keeps them.
What looks like one is refused or hidden by its place in a URL, never by its content: a user with a
password before the host, or the value of a query key that is named as a secret.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from urllib.parse import unquote

INSTEAD = (
    "none: credentials come from the environment (AWS_ACCESS_KEY_ID, AZURE_CLIENT_ID, ...), "
    "the machine's profile or git's credential store"
)

_HIDDEN = "***"
_SCHEME = r"[A-Za-z][A-Za-z0-9+.-]*:"
# Of a value that is a URL: its scheme, and what may be a user. A password may hold any character, "/", "?"
# and "@" too, so it reaches to the last "@". A path of this machine has no user.
_USER = re.compile(rf"(?!file:///)(?P<scheme>{_SCHEME}/+)?(?P<user>.*)@", re.DOTALL)
_IS_URL = re.compile(_SCHEME)
_WEB_USER = re.compile(r"(?:\w+\+)?https?://[^/?#]*@", re.IGNORECASE)
_KEY = re.compile(r"(?<=[?&;#])(?P<key>[^=&;#?\s]+)=", re.DOTALL)
_SECRET_KEY = re.compile(
    r"secret|token|passw|passphrase|signature|credentials?$|key$|^(?:sig|sas|pwd|pass|auth|authorization|jwt)$"
)
# In a word of a message: scheme and user. What has no slashes after it may be a user too.
_SHOWN_USER = re.compile(
    rf"(?!file:///)(?:\b(?P<scheme>{_SCHEME}/+)|(?<![\w/.~+-])(?={_SCHEME}\S))(?P<user>.*)@", re.DOTALL
)
# To the end of the word, as a secret may hold "&"; quotes and points after it are the message's.
_VALUE = re.compile(r"""\S*?(?=['"]?[).,:;\]}]*(?:\s|$))""")


def secret_in(url: str) -> str | None:
    """Say what a value holds that is a secret: "a password in the URL"; None if it holds none.

    What is no URL holds none. A user alone, such as the container of abfs://container@account, is no secret
    but in an address of the web, where it can only be a token.
    """
    url = url.lstrip()
    if not _IS_URL.match(url):
        return None
    user = _USER.match(url)
    if user and ":" in unquote(user["user"]):
        return "a password in the URL (an @ of its path or query is written %40)"
    if _WEB_USER.match(url):
        return "a user in the URL, which may be a token"
    key = next(_secret_keys(url), None)
    return f"a secret in the URL's query ({unquote(key['key'])}=...)" if key else None


def first_secret(value: object) -> str | None:
    """Say what ``secret_in`` says of a text, or of the first such text in a list or mapping."""
    if isinstance(value, str):
        return secret_in(value)
    if isinstance(value, Mapping):
        value = [*value, *value.values()]
    if isinstance(value, list | tuple):
        return next((found for one in value if (found := first_secret(one))), None)
    return None


def redacted(text: str) -> str:
    """Hide passwords, and secrets of queries, in all URLs of a message.

    A user alone stays, where it is no secret: commands that people are told to type have it.
    """
    return re.sub(r"\S+", lambda word: _without_user(word[0]), _without_values(text, _VALUE))


def redacted_value(text: str) -> str:
    """Hide secrets in a text that someone wrote as one value: spaces do not end them."""
    return _without_user(_without_values(text, re.compile(".*", re.DOTALL)))


def _without_user(word: str) -> str:
    def shown(found: re.Match[str]) -> str:
        secret = ":" in unquote(found["user"]) or _WEB_USER.match(found[0])
        return f"{found['scheme'] or ''}{_HIDDEN}@" if secret else found[0]

    return _SHOWN_USER.sub(shown, word) if "@" in word else word


def _without_values(text: str, value: re.Pattern[str]) -> str:
    """Hide what matches ``value`` after each key that is named as a secret."""
    parts, at = [], 0
    for key in _secret_keys(text):
        found = value.match(text, key.end())
        if found and key.start() >= at:
            # What stands before an "@" may be a password that looks like a query.
            end = "@" if "@" in found[0] else ""
            parts += [text[at : key.end()], f"{_HIDDEN}{end}"]
            at = found.end()
    return "".join([*parts, text[at:]])


def _secret_keys(text: str) -> Iterator[re.Match[str]]:
    """Yield where the query of a URL has a key that is named as a secret."""
    for found in _KEY.finditer(text):
        name = re.sub(r"[^a-z]", "", unquote(found["key"]).lower())
        if _SECRET_KEY.search(name):
            yield found
