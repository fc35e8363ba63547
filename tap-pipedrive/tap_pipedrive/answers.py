"""From the bytes of an answer to its data: exact numbers, storable text, and what counts as no answer at all."""

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
    """A number with all its digits; one that nothing can store stays text, and fits no column of numbers."""
    try:
        number = Decimal(text)
    except ArithmeticError:
        return text
    return number if len(text) <= MAX_MAGNITUDE and abs(number.adjusted()) <= MAX_MAGNITUDE else text


def _integer(text: str) -> int | str:
    """The same for a whole number; Python refuses to read thousands of digits."""
    return int(text) if len(text) <= MAX_MAGNITUDE else text


class _Envelope(msgspec.Struct):
    """What every answer has around its data."""

    data: msgspec.Raw = msgspec.Raw(b"")
    additional_data: Any = None
    success: Any = None
    error: Any = None
    error_info: Any = None


_open = msgspec.json.Decoder(_Envelope, float_hook=_decimal).decode
_decode = msgspec.json.Decoder(float_hook=_decimal).decode
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Answer:
    """A good answer. Its data are decoded where they are needed: a page that waits its turn stays small."""

    raw: bytes | msgspec.Raw
    """The data as JSON, known to be well-formed."""

    additional_data: Any
    """What comes beside the data: where the next page is."""

    served_at: datetime | None
    """The server's clock then; None if it did not say."""

    @property
    def data(self) -> Any:
        """The data, decoded: numbers with all their digits."""
        try:
            return _decode(self.raw)
        except msgspec.DecodeError:  # a whole number of thousands of digits
            return _loads(bytes(self.raw))


def read(content: bytes, served_at: datetime | None) -> Answer:
    """Check a body, and keep its data: numbers with all their digits; what no database can store is replaced."""
    try:
        content.decode()
        envelope = _open(content)
        if rb"\u0000" in content:
            envelope = _open(_repaired(content))
    except msgspec.ValidationError:
        raise TryAgain("a body that is no JSON object") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):  # lone surrogates, for one
        try:
            envelope = _open(_repaired(content))
        except (ValueError, RecursionError):
            raise TryAgain("a body that is not JSON or cut off") from None
    if envelope.success is False or not bytes(envelope.data):
        text = _text({"error": envelope.error, "error_info": envelope.error_info})
        raise TryAgain(f"an answer without data: {text or 'no error text'}")
    return Answer(envelope.data, envelope.additional_data, served_at)


def _repaired(content: bytes) -> bytes:
    """The same JSON without characters that cannot be stored."""
    return encode(_storable(_loads(content)))


def _loads(content: bytes) -> Any:
    """What msgspec does not read: lone surrogates, monstrous numbers."""
    return json.loads(content, parse_float=_decimal, parse_int=_integer, parse_constant=str)


def _storable(value: Any) -> Any:
    """NUL characters and lone surrogates (half an emoji, cut off at a length limit) become U+FFFD."""
    if isinstance(value, str):
        return _UNSTORABLE.sub("\ufffd", value)
    if isinstance(value, list):
        return [_storable(item) for item in value]
    if isinstance(value, dict):
        return {_storable(key): _storable(item) for key, item in value.items()}
    return value


def error_text(content: bytes) -> str | None:
    """Pipedrive's own words for an error; None if the body is no JSON, as those of firewalls and gateways."""
    try:
        return _text(_decode(content))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _text(body: Any) -> str:
    """Pipedrive's own words for an error."""
    if not isinstance(body, dict):
        return ""
    words = [body.get("error"), body.get("error_info")]
    return "; ".join(mask(" ".join(str(word).split()))[:300] for word in words if word)
