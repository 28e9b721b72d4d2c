"""Valid messages → messages that are nearly valid: changed as messages, as bytes, or as both.

Owns the mutations; the same seed gives the same messages. Does not know what the messages mean.
"""

import random
from collections.abc import Sequence
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message

WHOLE_NUMBERS = (0, 1, -1, 2, 7, 64, 65, 8192, 8193, 65536, 2**31 - 1, -(2**31), 2**32, 2**53, 2**63 - 1, -(2**63))
FLOATS = (0.0, -0.0, 1.0, -1.0, 1e-45, 3.4e38, 1e308, float("inf"), float("-inf"), float("nan"))
TEXTS = ("", "x", "y", "letters", "\x00", "ü€𝄞", "../../etc", "a" * 300, "1", "-1", "%s", "FP32", "BYTES", "INT64")
VARINTS = (b"\x00", b"\x7f", b"\xff\x7f", b"\xff\xff\xff\xff\x07", b"\xff" * 9 + b"\x01", b"\xff" * 10, b"\x80" * 9)
"""Lengths, field keys and numbers in a byte stream: small, large, the largest, and broken ones."""

RANGES = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
    FieldDescriptor.CPPTYPE_ENUM: (-(2**31), 2**31 - 1),
}
"""What each kind of whole number holds."""

CHANGES = (1, 1, 1, 2, 3)
"""How many at once, each as likely."""

DEPTH = 6
"""How far down in messages within messages."""

MOST_ELEMENTS = 256
"""Lists that are longer are not doubled."""


class Mutator:
    """Draws mutations from `seed`; parts of `donors` get into other messages."""

    def __init__(self, seed: int, donors: Sequence[Message]) -> None:
        self._random = random.Random(seed)
        self._donors = [donor.SerializeToString() for donor in donors]
        self._byte_changes = (
            self._flip,
            self._replace,
            self._insert,
            self._delete,
            self._cut,
            self._repeat,
            self._put_length,
            self._splice,
        )

    def mutated(self, message: Message) -> bytes:
        """The bytes of `message` after some changes; `message` stays as it is."""
        draw = self._random
        kind = draw.random()
        if kind < 0.3:
            return self._bytes(message.SerializeToString())
        changed = type(message)()
        changed.CopyFrom(message)
        for _ in range(draw.choice(CHANGES)):
            self._message(changed, DEPTH)
        data = changed.SerializeToString()
        return self._bytes(data) if kind > 0.9 else data

    def _bytes(self, data: bytes) -> bytes:
        draw, changed = self._random, bytearray(data)
        for _ in range(draw.choice(CHANGES)):
            at = draw.randrange(len(changed) + 1)
            draw.choice(self._byte_changes)(changed, at)
        return bytes(changed)

    def _flip(self, data: bytearray, at: int) -> None:
        data[at : at + 1] = bytes(one ^ 1 << self._random.randrange(8) for one in data[at : at + 1])

    def _replace(self, data: bytearray, at: int) -> None:
        data[at : at + 1] = self._random.randbytes(1)

    def _insert(self, data: bytearray, at: int) -> None:
        data[at:at] = self._random.randbytes(self._random.randint(1, 6))

    def _delete(self, data: bytearray, at: int) -> None:
        del data[at : at + self._random.randint(1, 8)]

    def _cut(self, data: bytearray, at: int) -> None:
        del data[at:]

    def _repeat(self, data: bytearray, at: int) -> None:
        data[at:at] = self._piece(data)

    def _put_length(self, data: bytearray, at: int) -> None:
        data[at : at + self._random.randint(0, 2)] = self._random.choice(VARINTS)

    def _splice(self, data: bytearray, at: int) -> None:
        data[at : at + self._random.randint(0, 8)] = self._piece(self._random.choice(self._donors))

    def _piece(self, data: bytes | bytearray) -> bytes:
        at = self._random.randrange(len(data) + 1)
        return bytes(data[at : at + self._random.randint(1, 64)])

    def _message(self, message: Any, depth: int) -> None:
        """Change one field of `message` or of a message within."""
        draw = self._random
        present = message.ListFields()
        if present and depth and draw.random() < 0.6:
            field, value = draw.choice(present)
            if field.message_type is not None and (inner := self._inner(field, value)) is not None:
                self._message(inner, depth - 1)
                return
        fields = message.DESCRIPTOR.fields
        if not fields:
            return
        field = draw.choice(present)[0] if present and draw.random() < 0.7 else draw.choice(fields)
        if _is_map(field):
            self._map(field, getattr(message, field.name))
        elif field.is_repeated:
            self._repeated(field, getattr(message, field.name))
        elif field.message_type is not None:
            self._single_message(message, field)
        elif draw.random() < 0.2:
            message.ClearField(field.name)
        else:
            setattr(message, field.name, self._value(field, getattr(message, field.name)))

    def _single_message(self, message: Any, field: Any) -> None:
        draw = self._random
        if message.HasField(field.name) and draw.random() < 0.5:
            message.ClearField(field.name)
            return
        inner = getattr(message, field.name)
        inner.SetInParent()
        self._merge_donor(inner)

    def _inner(self, field: Any, value: Any) -> Any:
        if _is_map(field):
            if field.message_type.fields_by_name["value"].message_type is None:
                return None
            return value[self._random.choice(sorted(value))]
        return self._random.choice(value) if field.is_repeated else value

    def _map(self, field: Any, entries: Any) -> None:
        draw, (key, value) = self._random, (field.message_type.fields_by_name[one] for one in ("key", "value"))
        if entries and draw.random() < 0.4:
            del entries[draw.choice(sorted(entries))]
        elif value.message_type is None:
            entries[self._value(key)] = self._value(value)
        elif entries and draw.random() < 0.5:
            entries[self._value(key)].CopyFrom(entries[draw.choice(sorted(entries))])
        else:
            self._merge_donor(entries[self._value(key)])

    def _repeated(self, field: Any, values: Any) -> None:
        draw = self._random
        at = draw.randrange(len(values)) if values else 0
        # One element is changed more often than not: dimensions and indices are what is believed too easily.
        kind = draw.choice((0, 1, 2, 3, 3, 3, 3, 4)) if values else 4
        if kind == 0:
            del values[at]
        elif kind == 1:
            values.append(values[at])
        elif kind == 2 and len(values) * 2 <= MOST_ELEMENTS:
            values.extend(list(values))
        elif field.message_type is not None:
            self._merge_donor(values.add())
        elif kind == 3:
            values[at] = self._value(field, values[at])
        else:
            values.extend(self._value(field) for _ in range(draw.randint(1, 4)))

    def _merge_donor(self, message: Any) -> None:
        """Whatever a donor's bytes, or a piece of them, mean in this place."""
        donor = self._random.choice(self._donors)
        try:
            message.MergeFromString(donor[self._random.choice((0, 2, self._random.randrange(len(donor) + 1))) :])
        except DecodeError:
            message.Clear()

    def _value(self, field: Any, old: Any = None) -> Any:
        """Another value; of bytes often of the same length, on which a model may run."""
        draw = self._random
        if isinstance(old, bytes) and old and draw.random() < 0.6:
            at = draw.randrange(len(old))
            return (old[:at] + draw.randbytes(4) + old[at + 4 :])[: len(old)]
        match field.cpp_type:
            case FieldDescriptor.CPPTYPE_BOOL:
                return draw.random() < 0.5
            case FieldDescriptor.CPPTYPE_FLOAT | FieldDescriptor.CPPTYPE_DOUBLE:
                return draw.choice(FLOATS)
            case FieldDescriptor.CPPTYPE_STRING:
                if field.type == FieldDescriptor.TYPE_BYTES:
                    return draw.choice((b"", draw.randbytes(draw.randint(1, 40)), bytes(draw.choice((12, 48, 4096)))))
                return draw.choice(TEXTS)
            case _:
                least, most = RANGES[field.cpp_type]
                return min(max(draw.choice((*WHOLE_NUMBERS, draw.randint(0, 20))), least), most)


def _is_map(field: Any) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry
