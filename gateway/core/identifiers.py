"""Names that the gateway gives. Pure: time and chance come from outside."""


def run_id(milliseconds: int, chance: bytes) -> str:
    """The name of a run: 12 hexadecimal digits of `milliseconds` since 1970, then `chance` (8 bytes). Sorts by time."""
    return milliseconds.to_bytes(6, "big").hex() + chance.hex()
