"""`Secret`, the type of a setting whose value no log and no error shows."""


class Secret(str):
    """The value of a secret setting: prints as `***`; `reveal()` returns the value to code that needs it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__

    def __format__(self, _: str) -> str:
        return "***"

    def reveal(self) -> str:
        """Returns the secret's value as an ordinary string."""
        return "".join(self)
