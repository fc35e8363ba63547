"""From the bytes of an answer to its data: exact numbers, text that a database can store, malformed bodies."""

import json
import re
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from tap_pipedrive.errors import TryAgain
from tap_pipedrive.masking import mask
from tap_pipedrive.values import MAX_MAGNITUDE, encode


def _decimal(text: str) -> Decimal | str:
    """Return a number with all its digits; one that nothing can store stays text, which fits no number column."""
    try:
        number = Decimal(text)
    except ArithmeticError:
        return text
    return number if len(text) <= MAX_MAGNITUDE and abs(number.adjusted()) <= MAX_MAGNITUDE else text


def _integer(text: str) -> int | str:
    """Return a whole number in the same way, as Python refuses to read thousands of digits."""
    return int(text) if len(text) <= MAX_MAGNITUDE else text


class _Envelope(msgspec.Struct):
    """What surrounds the data in every answer."""

    data: msgspec.Raw = msgspec.Raw(b"")
    additional_data: Any = None
    success: Any = None
    error: Any = None
    error_info: Any = None


_open = msgspec.json.Decoder(_Envelope, float_hook=_decimal).decode
_decode = msgspec.json.Decoder(float_hook=_decimal).decode
MOST_VALUES = 2**21
"""Objects and lists in an answer: 64 MB of empty ones would be 1.5 GB in memory."""

_LONGEST_NOTHING = 100
"""Bytes of JSON; what is longer is taken for rows without being decoded."""

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Answer:
    """A good answer. Its data are decoded when they are needed, so that a page that waits stays small."""

    raw: bytes | msgspec.Raw
    """The data as well-formed JSON."""

    additional_data: Any
    """What comes with the data, such as the cursor of the next page."""

    served_at: datetime | None
    """The server's clock at the answer; None if it did not say."""

    @property
    def has_rows(self) -> bool:
        """Whether the data are more than nothing or an empty list, without decoding them."""
        return len(self.raw) > _LONGEST_NOTHING or bool(self.data)

    @property
    def is_null(self) -> bool:
        """Whether the data are `null`, without decoding them."""
        return len(self.raw) == len(b"null") and self.data is None

    @property
    def data(self) -> Any:
        """The data, decoded: numbers with all their digits."""
        try:
            return _decode(self.raw)
        except msgspec.DecodeError:  # a whole number of thousands of digits
            return _loads(bytes(self.raw))


def read(content: bytes, served_at: datetime | None) -> Answer:
    """Check a body and return its answer; characters that no database can store are replaced. Raises TryAgain."""
    if len(content) > MOST_VALUES and content.count(b"{") + content.count(b"[") > MOST_VALUES:
        raise TryAgain(f"an answer of more than {MOST_VALUES:,} objects and lists", is_heavy=True)
    try:
        content.decode()
        envelope = _open(content)
        if rb"\u0000" in content:
            envelope = _open(_repaired(content))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):  # lone surrogates, for one
        try:
            envelope = _open(_repaired(content))
        except msgspec.ValidationError:
            raise TryAgain("a body that is no JSON object", is_of_content=True) from None
        except (ValueError, RecursionError):
            raise TryAgain("a body that is not JSON or cut off", is_heavy=True) from None
    if envelope.success is False or not bytes(envelope.data):
        text = _text({"error": envelope.error, "error_info": envelope.error_info})
        raise TryAgain(f"an answer without data: {text or 'no error text'}", is_of_content=True)
    return Answer(envelope.data, envelope.additional_data, served_at)


def _repaired(content: bytes) -> bytes:
    """Return the same JSON without characters that cannot be stored."""
    return encode(_storable(_loads(content)))


def _loads(content: bytes) -> Any:
    """Decode what msgspec does not read: lone surrogates and numbers of thousands of digits."""
    return json.loads(content, parse_float=_decimal, parse_int=_integer, parse_constant=str)


def _storable(value: Any) -> Any:
    """Return a value with U+FFFD for NUL characters and lone surrogates (half an emoji at a length limit)."""
    if isinstance(value, str):
        return _UNSTORABLE.sub("\ufffd", value)
    if isinstance(value, list):
        return [_storable(item) for item in value]
    if isinstance(value, dict):
        return {_storable(key): _storable(item) for key, item in value.items()}
    return value


def error_text(content: bytes) -> str | None:
    """Return Pipedrive's text of an error; None for a body that is not JSON, as firewalls and gateways send."""
    try:
        return _text(_decode(content))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _text(body: Any) -> str:
    """Return Pipedrive's text of an error, cut to a readable length."""
    if not isinstance(body, dict):
        return ""
    words = [body.get("error"), body.get("error_info")]
    return "; ".join(mask(" ".join(str(word).split()))[:300] for word in words if word)
