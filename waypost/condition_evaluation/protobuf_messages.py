"""Decodes and encodes Protocol Buffers messages as lists of fields, for compiled CEL expressions.

The CEL library writes a compiled expression as such a message and reads one; it offers no other way to see or
change an expression.
"""

from typing import Any, Final, TypeAlias

Message: TypeAlias = list[tuple[int, Any]]
"""A decoded message: number and value of each field, in order. A value is an int, bytes, or a message."""
Layout: TypeAlias = dict[int, "Layout"]
"""Describes which fields of a message are themselves messages to decode, by field number."""

VARINT: Final = 0
FIXED_64: Final = 1
BYTES: Final = 2


def decode(data: bytes, layout: Layout) -> Message:
    """Decodes a Protocol Buffers message into a list of its fields.

    Fields that `layout` names are decoded as messages in turn; other length-delimited fields and fixed fields
    of eight bytes stay bytes. Raises `ValueError` for a field of another wire type than these and integers.
    """
    found: Message = []
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, wire_type = key >> 3, key & 7
        if wire_type == VARINT:
            value, at = _varint(data, at)
            found.append((number, value))
            continue
        if wire_type not in (FIXED_64, BYTES):
            raise ValueError(f"wire type {wire_type}")
        length, at = (8, at) if wire_type == FIXED_64 else _varint(data, at)
        content = data[at : at + length]
        at += length
        found.append((number, decode(content, layout[number]) if number in layout else content))
    return found


def encode(message: Message) -> bytes:
    """Encodes a list of fields as a Protocol Buffers message.

    A number of fixed size cannot be a field of the list; it may stand inside a field that was left undecoded.
    """
    parts: list[bytes] = []
    for number, value in message:
        if isinstance(value, int):
            parts += [_encoded(number << 3 | VARINT), _encoded(value)]
        else:
            content = encode(value) if isinstance(value, list) else value
            parts += [_encoded(number << 3 | BYTES), _encoded(len(content)), content]
    return b"".join(parts)


def first(message: Message, number: int, default: Any = None) -> Any:
    """Returns the value of a message's first field with the number `number`, or `default` without one."""
    return next((value for found, value in message if found == number), default)


def every(message: Message, number: int) -> list[Any]:
    """Returns the values of all fields with the number `number` of a message."""
    return [value for found, value in message if found == number]


def _varint(data: bytes, at: int) -> tuple[int, int]:
    byte = data[at]
    if byte < 0x80:
        return byte, at + 1
    found = shift = 0
    while byte >= 0x80:
        found |= (byte & 0x7F) << shift
        shift += 7
        at += 1
        byte = data[at]
    return found | byte << shift, at + 1


def _encoded(value: int) -> bytes:
    if value < 0x80:
        return value.to_bytes(1, "big")
    found = bytearray()
    while value >= 0x80:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)
