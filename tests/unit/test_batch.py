"""Record batch v2 against kafka-python's encoder and decoder as oracle."""
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder
from robustmq._fastpath.crc import crc32c_bytes

from tests.shims import shim_codec

OK, MALFORMED, TOO_LARGE, UNSUPPORTED, CORRUPT, INVALID_RECORD = 0, 16, 17, 19, 20, 28

BYTES = st.one_of(st.none(), st.binary(max_size=300))
HEADERS = st.lists(st.tuples(st.text(max_size=12), BYTES), max_size=4)
ITEMS = st.lists(st.tuples(st.integers(0, 2**42), BYTES, BYTES, HEADERS), min_size=1, max_size=20)


def oracle(items: list, *, codec: int = 0, pid: int = -1, epoch: int = -1, sequence: int = -1) -> bytes:
    builder = DefaultRecordBatchBuilder(magic=2, compression_type=codec, is_transactional=0, producer_id=pid,
                                        producer_epoch=epoch, base_sequence=sequence, batch_size=1 << 30)
    for delta, (timestamp, key, value, headers) in enumerate(items):
        assert builder.append(delta, timestamp=timestamp, key=key, value=value, headers=headers) is not None
    return bytes(builder.build())


def resealed(batch: bytes) -> bytes:
    """The batch with a CRC that matches what was changed in it."""
    return batch[:17] + struct.pack(">I", crc32c_bytes(batch[21:])) + batch[21:]


def patched(batch: bytes, at: int, raw: bytes) -> bytes:
    return resealed(batch[:at] + raw + batch[at + len(raw):])


PLAIN = oracle([(1000, b"k", b"value", [("h", b"1"), ("n", None)]), (1001, None, None, [])])


@settings(deadline=None)
@given(ITEMS)
def test_what_we_build_kafka_reads(items: list) -> None:
    status, raw = shim_codec.build(items)
    assert status == OK
    batch = DefaultRecordBatch(raw)
    assert batch.validate_crc()
    got = [(r.timestamp, r.key, r.value, [(k, v) for k, v in r.headers]) for r in batch]
    assert got == items
    assert shim_codec.validate(raw) == OK
    assert batch.max_timestamp == max(item[0] for item in items)


@settings(deadline=None)
@given(ITEMS)
def test_what_kafka_builds_we_read(items: list) -> None:
    raw = oracle(items)
    assert shim_codec.validate(raw) == OK
    base = items[0][0]
    assert shim_codec.records(raw) == [(i, t - base, k, v, h) for i, (t, k, v, h) in enumerate(items)]


def test_cut_at_every_byte() -> None:
    for cut in range(len(PLAIN)):
        assert shim_codec.validate(PLAIN[:cut]) == MALFORMED
    assert shim_codec.validate(PLAIN + b"\x00") == MALFORMED


def test_every_flipped_bit_after_the_magic_is_noticed() -> None:
    for at in range(17, len(PLAIN)):
        flipped = bytearray(PLAIN)
        flipped[at] ^= 0x10
        assert shim_codec.validate(bytes(flipped)) == CORRUPT


def test_base_offset_and_leader_epoch_are_outside_the_crc() -> None:
    assert shim_codec.validate(b"\x00" * 7 + b"\x63" + PLAIN[8:12] + b"\x00\x00\x00\x07" + PLAIN[16:]) == OK


@pytest.mark.parametrize(("name", "raw", "status"), [
    ("magic 1", PLAIN[:16] + b"\x01" + PLAIN[17:], UNSUPPORTED),
    ("codec 5", patched(PLAIN, 21, b"\x00\x05"), UNSUPPORTED),
    ("control batch", patched(PLAIN, 21, b"\x00\x20"), INVALID_RECORD),
    ("count is not last delta + 1", patched(PLAIN, 57, struct.pack(">i", 3)), INVALID_RECORD),
    ("count 0", patched(patched(PLAIN, 57, bytes(4)), 23, b"\xff\xff\xff\xff"), INVALID_RECORD),
    ("negative count", patched(patched(PLAIN, 57, b"\x80\x00\x00\x00"), 23, b"\x7f\xff\xff\xff"), INVALID_RECORD),
    ("pid without sequence", patched(PLAIN, 43, struct.pack(">q", 5)), INVALID_RECORD),
    ("count and delta too high", patched(patched(PLAIN, 57, struct.pack(">i", 3)), 23, struct.pack(">i", 2)), CORRUPT),
    ("a record longer than the batch", patched(PLAIN, 61, b"\x7e"), CORRUPT),
])
def test_refused(name: str, raw: bytes, status: int) -> None:
    assert shim_codec.validate(raw) == status


def test_size_bound() -> None:
    assert shim_codec.validate(PLAIN, len(PLAIN)) == OK
    assert shim_codec.validate(PLAIN, len(PLAIN) - 1) == TOO_LARGE


@pytest.mark.parametrize("codec", [1, 2, 3, 4])
def test_compressed_batches_pass(codec: int) -> None:
    raw = oracle([(1, b"k", b"v" * 1000, [])] * 10, codec=codec, pid=7, epoch=0, sequence=3)
    assert raw[22] & 7 == codec
    assert shim_codec.validate(raw) == OK


@given(st.binary(max_size=200))
def test_records_from_garbage_end(garbage: bytes) -> None:
    shim_codec.records(PLAIN[:61] + garbage)
    shim_codec.validate(patched(PLAIN[:61] + garbage, 8, struct.pack(">i", 49 + len(garbage))))


def test_a_full_builder_says_so_and_keeps_what_it_has() -> None:
    status, raw = shim_codec.build([(1, None, b"x" * 400, [])] * 5, 1000)
    assert status == TOO_LARGE
    assert len(shim_codec.records(raw)) == 2
