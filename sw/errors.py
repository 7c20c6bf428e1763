"""The one exception that means: the user can fix this, and the message says how."""

from __future__ import annotations


class UserError(Exception):
    """A mistake or a missing thing on the user's side, not a bug.

    The message is one line that names the value, the limit and the remedy. Command lines print it without a traceback
    and leave with exit code 2.
    """
