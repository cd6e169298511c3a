"""The type of a secret setting, whose value no log and no error shows."""


class Secret(str):
    """A secret setting that prints as `***`. `reveal()` returns the value to the code that needs it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__

    def __format__(self, _: str) -> str:
        return "***"

    def reveal(self) -> str:
        """Returns the secret value as an ordinary string."""
        return "".join(self)
