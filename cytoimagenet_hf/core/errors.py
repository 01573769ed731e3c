"""The one error that means "the caller can mend this": command lines print it without a traceback and exit 2."""


class InputError(ValueError):
    """A wrong call or unusable input: the message says what was wrong, where, and what to do next."""


def one_line(error: object, *, longest: int = 300) -> str:
    """The text of an error in one line, without its end if that is very long.

    Example:
        >>> one_line(ValueError("a\\n  b."))
        'a b'
    """
    text = " ".join(str(error).split()).rstrip(".") or type(error).__name__
    return text if len(text) <= longest else f"{text[:longest]} …"
