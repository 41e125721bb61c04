"""Entity tags of answers (RFC 9110, section 8.8.3), as callers send them back and servers make them.

Invariant: all tags are weak: the same answer may be encoded in several ways, and all of them are compared by what
stands between the quotes.
"""

from __future__ import annotations

import re
from itertools import islice

# As keys of a call's metadata, too.
IF_NONE_MATCH = "if-none-match"
ETAG = "etag"
# Of a list that is longer only the beginning counts: what does not match is sent again.
_MAX_TAGS = 32
_TAG = re.compile(r'"([!#-~]{1,200})"')


def tags_of(condition: str) -> list[str]:
    """What stands between the quotes of an If-None-Match, or of an ETag."""
    return [match.group(1) for match in islice(_TAG.finditer(condition), _MAX_TAGS)]


def header(*tags: str) -> str:
    """The inverse of `tags_of`."""
    return ", ".join(f'W/"{tag}"' for tag in tags)
