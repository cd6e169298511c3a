"""Tests that values of secrets are masked in all of their forms, however a text is cut into pieces."""

import base64
import json
import urllib.parse
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clusters.embedded.secrets.mask import MASKED, PART_BYTES, Mask, MaskedStream

SECRET = b'hunter2/"finch"+pass'
KEY = b"-----BEGIN KEY-----\n" + b"\n".join(b"line%02d" % n + b"x" * 57 for n in range(9)) + b"\n"


def masked(mask: Mask, *pieces: bytes) -> bytes:
    stream = MaskedStream(mask)
    return b"".join([*map(stream.feed, pieces), stream.end()])


def by_reference(mask: Mask, text: bytes) -> bytes:
    """Masks a whole text at once, byte by byte: slow and obvious."""
    hidden = [any(begin <= at < end for begin, end in mask.spans(text)) for at in range(len(text))]
    shown = [MASKED if hide else text[at : at + 1] for at, hide in enumerate(hidden)]
    # One mask for each stretch.
    return b"".join(one for at, one in enumerate(shown) if not (at and hidden[at] and hidden[at - 1]))


VALUES = st.lists(st.text("ab", min_size=8, max_size=40).map(str.encode), min_size=1, max_size=2)


@given(data=st.data(), values=VALUES)
def test_pieces_are_masked_as_the_whole_is(data: st.DataObject, values: list[bytes]) -> None:
    """Also values that overlap, that repeat, and that are cut anywhere; and next to nothing is held back."""
    mask, stream, shown = Mask(values), MaskedStream(Mask(values)), b""
    parts = st.one_of(
        st.text("abc", max_size=20).map(str.encode),
        st.sampled_from(values),
        st.builds(lambda value, size: value[:size], st.sampled_from(values), st.integers(1, 40)),
    )
    text = b"".join(data.draw(st.lists(parts, max_size=6)))
    at = 0
    while at < len(text):
        size = data.draw(st.integers(1, 30))
        shown += stream.feed(text[at : at + size])
        assert len(stream._held) < PART_BYTES
        at += size

    assert shown + stream.end() == by_reference(mask, text)


@given(data=st.data(), values=VALUES)
def test_many_parts_are_found_as_few_are(data: st.DataObject, values: list[bytes]) -> None:
    """Large values are looked for in another way, which must find the same."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("clusters.embedded.secrets.mask.FEW_PARTS", 0)
        many = Mask(values)
    few = Mask(values)
    parts = st.one_of(st.text("abc", max_size=20).map(str.encode), st.sampled_from(few._parts))
    text = b"".join(data.draw(st.lists(parts, max_size=6)))

    assert (many._beginnings != {}, few._beginnings) == (True, {})
    assert many.spans(text) == few.spans(text)
    assert many.is_in(text.decode()) == few.is_in(text.decode())


@pytest.mark.parametrize(
    "form",
    [
        SECRET,
        base64.b64encode(SECRET),
        base64.urlsafe_b64encode(SECRET),
        base64.b64encode(b"user:" + SECRET + b"@host"),
        base64.b64encode(b"user1:" + SECRET),
        base64.b64encode(b"user12:" + SECRET),
        SECRET.hex().encode(),
        SECRET.hex().upper().encode(),
        urllib.parse.quote(SECRET, safe="").encode(),
        json.dumps({"password": SECRET.decode()}).encode(),
        SECRET[: len(SECRET)] + SECRET,
    ],
)
@pytest.mark.parametrize("size", [1, 3, 7, 1_000])
def test_a_value_is_masked_as_tools_write_it(form: bytes, size: int) -> None:
    """At most the few characters at the ends of base64 stay that belong to what stands beside it, too."""
    pieces = [form[at : at + size] for at in range(0, len(form), size)]
    shown = masked(Mask([SECRET]), b"before ", *pieces, b" after")

    assert shown.startswith(b"before ")
    assert shown.endswith(b" after")
    assert MASKED in shown
    assert len(shown) <= len(b"before *** after") + len(form) - len(SECRET)
    assert not any(SECRET[at : at + 8] in shown for at in range(len(SECRET) - 8))


@pytest.mark.parametrize(
    "printed",
    [
        KEY,
        KEY.replace(b"\n", b"\r\n"),
        b"\n".join(reversed(KEY.splitlines())),
        base64.encodebytes(KEY),
        base64.b64encode(KEY),
        KEY.replace(b"\n", b" "),
    ],
)
def test_a_key_of_many_lines_is_masked_line_by_line(printed: bytes) -> None:
    shown = masked(Mask([KEY]), printed)

    secret_lines = [line for line in (*KEY.splitlines(), *printed.splitlines()) if len(line) > 8]
    assert not any(line[at : at + 16] in shown for line in secret_lines for at in range(len(line) - 16))


def test_the_half_of_a_long_value_is_masked_too() -> None:
    """A program may show no more than the beginning of what it has been given."""
    value = bytes(range(33, 33 + 80))

    assert masked(Mask([value]), b"begins with " + value[:30]) == b"begins with " + MASKED + value[26:30]


def test_what_is_no_secret_is_shown_at_once() -> None:
    """Who follows a log sees each line when it is printed."""
    stream = MaskedStream(Mask([SECRET]))

    assert stream.feed(b"ready, hunter") == b"ready, "
    assert stream.feed(b"s are out\n") == b"hunters are out\n"


def test_values_are_found_in_json() -> None:
    """In names as well: a task may write anything as its output."""
    mask = Mask([SECRET])

    assert mask.is_in({"a": [1, None, {SECRET.decode(): 2}]})
    assert mask.is_in(["x" + SECRET.decode() + "y"])
    assert mask.is_in(base64.b64encode(SECRET).decode())
    assert not mask.is_in({"a": [1, 2.5, True, "hunter2"]})
    assert not mask.is_in([SECRET.decode()[:9], SECRET.decode()[9:]])


def test_an_output_is_searched_in_one_pass() -> None:
    """A value of 16 KiB is looked for in 13,000 parts: for each of as many texts, that took two minutes."""

    class Parts(list[bytes]):
        """Parts of values that count how often they are gone through."""

        passes = 0

        def __iter__(self) -> Iterator[bytes]:
            self.passes += 1
            return super().__iter__()

    mask = Mask([SECRET])
    parts = mask._parts = Parts(mask._parts)
    assert not mask.is_in(["a", {"b": "c"}] * 100)
    assert parts.passes == 1
    assert mask.text(f"cannot reach {SECRET.decode()}: é") == "cannot reach ***: é"
