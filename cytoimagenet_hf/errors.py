"""The one error that means "the caller can mend this": command lines print it without a traceback and exit 2."""


class InputError(ValueError):
    """A wrong call or unusable input: the message says what was wrong, where, and what to do next."""
