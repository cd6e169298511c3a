"""The type of a secret setting, which no log and no error shows."""


class Secret(str):
    """A setting that is not shown: it prints `***`. `reveal()` gives the value to the code that needs it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__

    def __format__(self, _: str) -> str:
        return "***"

    def reveal(self) -> str:
        """The value as an ordinary string."""
        return "".join(self)
