"""Content codings: the same content however it is cut, and no harm from what is hostile."""

from __future__ import annotations

import functools
import gzip
import importlib
import itertools
import subprocess
import sys
import tracemalloc
import types
import zlib
from collections.abc import Callable, Iterable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from httpclient import _content_coding
from httpclient._content_coding import (
    MAX_CODINGS,
    PIECE,
    ContentDecoder,
    _brotli_library,
    _zstd_name,
    accept_encoding,
    content_decoder,
)
from httpclient._exceptions import DecodingError

MIB = 1 << 20

brotli = _brotli_library()
assert brotli is not None, "the tests need brotli, 1.2 or newer"
zstd_name = _zstd_name()
assert zstd_name is not None, "the tests need backports.zstd, or the standard library's zstd"
zstd = importlib.import_module(zstd_name)


def raw_deflate(content: bytes) -> bytes:
    deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return deflate.compress(content) + deflate.flush()


def members(content: bytes) -> bytes:
    half = len(content) // 2
    return gzip.compress(content[:half]) + gzip.compress(b"") + gzip.compress(content[half:])


def frames(content: bytes) -> bytes:
    half = len(content) // 2
    skippable = b"\x5f\x2a\x4d\x18" + (3).to_bytes(4, "little") + b"abc"
    return bytes(zstd.compress(content[:half]) + skippable + zstd.compress(content[half:]))


ENCODERS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": ("gzip", gzip.compress),
    "gzip members": ("x-gzip", members),
    "deflate": ("deflate", zlib.compress),
    "raw deflate": ("deflate", raw_deflate),
    "br": ("br", functools.partial(brotli.compress, quality=3)),
    "zstd": ("zstd", zstd.compress),
    "zstd frames": ("zstd", frames),
}
each_encoder = pytest.mark.parametrize("encoder", ENCODERS)


def decoder(values: str | list[str], max_size: int | None = None, **options: int) -> ContentDecoder:
    found = content_decoder(values, max_size=max_size, **options)
    assert found is not None
    return found


def pieces(step: ContentDecoder, chunks: Iterable[bytes]) -> Iterator[bytes]:
    for chunk in chunks:
        yield from step.feed(chunk)
    yield from step.flush()


def decode(values: str, body: bytes, cuts: Iterable[int] = (), **options: int) -> bytes:
    edges = [0, *sorted(place % (len(body) + 1) for place in cuts), len(body)]
    chunks = [body[a:b] for a, b in itertools.pairwise(edges)]
    return b"".join(pieces(decoder(values, **options), chunks))


def assert_always_an_error(values: str, body: bytes, match: str = "decoding") -> None:
    """Whole, byte by byte, and cut once at each of the last places."""
    for cuts in (), range(len(body)), *((len(body) - n,) for n in range(12)):
        with pytest.raises(DecodingError, match=match):
            decode(values, body, cuts)


CONTENTS = st.one_of(
    st.binary(max_size=300),
    st.builds(
        lambda some, times: some * times, st.binary(min_size=1, max_size=5), st.integers(0, 50_000)
    ),
)
CUTS = st.lists(st.integers(0, 100_000), max_size=8)


@given(CONTENTS, st.lists(st.sampled_from(list(ENCODERS)), min_size=1, max_size=MAX_CODINGS), CUTS)
def test_l2_decoding_undoes_encoding_however_the_body_is_cut(
    content: bytes, encoders: list[str], cuts: list[int]
) -> None:
    body, names = content, []
    for encoder in encoders:
        name, encode = ENCODERS[encoder]
        body = encode(body)
        names.append(name)
    assert decode(", ".join(names), body, cuts, max_size=len(content)) == content


@each_encoder
def test_byte_by_byte_and_in_small_pieces(encoder: str) -> None:
    name, encode = ENCODERS[encoder]
    content = b"a" * 200_000 + bytes(range(256))
    chunks = [bytes([byte]) for byte in encode(content)]
    for piece in 1000, 7:
        made = list(pieces(decoder(name, piece=piece), chunks))
        assert b"".join(made) == content
        assert max(map(len, made)) <= piece


@given(
    st.sampled_from(["gzip", "deflate", "br", "zstd", "gzip, br", "zstd, deflate", "br, gzip"]),
    st.sampled_from([b"", b"\x1f\x8b\x08\0", b"\x78\x9c", b"\x28\xb5\x2f\xfd", b"\x0b"]),
    st.binary(max_size=200),
    CUTS,
)
@settings(max_examples=300)
def test_random_bytes_raise_nothing_but_decoding_errors(
    names: str, start: bytes, rest: bytes, cuts: list[int]
) -> None:
    try:
        decode(names, start + rest, cuts, max_size=10 * MIB)
    except DecodingError:
        pass


@given(st.sampled_from(list(ENCODERS)), st.integers(0, 10_000), st.integers(1, 255), CUTS)
@settings(max_examples=300)
def test_a_flipped_byte_raises_nothing_but_decoding_errors(
    encoder: str, place: int, flip: int, cuts: list[int]
) -> None:
    name, encode = ENCODERS[encoder]
    body = bytearray(encode(b"some content, some more content" * 20))
    body[place % len(body)] ^= flip
    try:
        decode(name, bytes(body), cuts, max_size=10 * MIB)
    except DecodingError:
        pass


@pytest.mark.parametrize("encoder", ["gzip", "deflate", "raw deflate", "br", "zstd"])
def test_a_body_that_was_cut_off_is_an_error(encoder: str) -> None:
    name, encode = ENCODERS[encoder]
    body = encode(b"some content")
    for length in range(1, len(body)):
        with pytest.raises(DecodingError, match="cut off") as caught:
            decode(name, body[:length])
        assert caught.value.phase == "receive body"


@pytest.mark.parametrize("name", ["gzip", "zstd"])
def test_a_second_member_that_was_cut_off_is_an_error(name: str) -> None:
    _, encode = ENCODERS[name]
    first, second = encode(b"some "), encode(b"content")
    for length in range(1, len(second)):
        with pytest.raises(DecodingError, match="cut off"):
            decode(name, first + second[:length])
        with pytest.raises(DecodingError, match="cut off"):
            decode(name, first + second[:length], [len(first)])


def test_a_layer_within_that_was_cut_off_is_an_error() -> None:
    with pytest.raises(DecodingError, match="decoding br: the body was cut off"):
        decode("br, gzip", gzip.compress(brotli.compress(b"some content")[:-1]))


@pytest.mark.parametrize("names", ["gzip", "deflate", "br", "zstd", "gzip, br, zstd"])
def test_a_response_without_a_body_may_name_codings(names: str) -> None:
    assert decode(names, b"") == b""
    assert list(decoder(names).feed(b"")) == []


@each_encoder
def test_what_is_not_valid_is_our_error_with_the_librarys_as_cause(encoder: str) -> None:
    name, _ = ENCODERS[encoder]
    with pytest.raises(DecodingError, match=f"decoding {name.removeprefix('x-')}: ") as caught:
        decode(name, b"\xff" * 100)
    expected = {"br": brotli.error, "zstd": zstd.ZstdError}.get(name, zlib.error)
    assert type(caught.value.__cause__) is expected
    assert caught.value.phase == "receive body"


def test_a_wrong_checksum_is_an_error() -> None:
    body = bytearray(gzip.compress(b"some content"))
    body[-8] ^= 1
    assert_always_an_error("gzip", bytes(body), "check")
    body = bytearray(zlib.compress(b"some content"))
    body[-1] ^= 1
    assert_always_an_error("deflate", bytes(body), "check")


# What follows the end


@pytest.mark.parametrize("encoder", ["gzip", "gzip members", "deflate", "raw deflate"])
def test_padding_behind_gzip_and_deflate_is_ignored(encoder: str) -> None:
    name, encode = ENCODERS[encoder]
    whole = encode(b"some content")
    for rest in b"\0", bytes(100), b"x", b"garbage \x1f\x8b", b"\x1fx", b"\x1f\0":
        body = whole + rest
        for cuts in (), range(len(body)), *((len(body) - n,) for n in range(len(rest) + 3)):
            assert decode(name, body, cuts) == b"some content"
    assert decode(name, whole + bytes(10 * MIB)) == b"some content"


@pytest.mark.parametrize("name", ["br", "zstd"])
def test_anything_behind_br_and_zstd_is_an_error(name: str) -> None:
    for rest in bytes(10), b"garbage", b"x":
        assert_always_an_error(name, ENCODERS[name][1](b"some content") + rest)


def test_a_second_br_stream_is_an_error() -> None:
    assert_always_an_error("br", brotli.compress(b"one") + brotli.compress(b"two"))


def test_a_second_gzip_member_that_is_broken_is_an_error() -> None:
    first = gzip.compress(b"some content")
    assert_always_an_error("gzip", first + b"\x1f\x8b garbage", "not valid")


# Bombs


def gzip_bomb(mib: int) -> Iterator[bytes]:
    """So many MiB of zeros, of which no more than one is ever compressed: after a full flush the
    same goes in and the same comes out."""
    deflate = zlib.compressobj(9, wbits=31)
    first, again = (deflate.compress(bytes(MIB)) + deflate.flush(zlib.Z_FULL_FLUSH) for _ in "12")
    yield first
    yield from itertools.repeat(again, mib - 1)


def brotli_bomb(mib: int) -> Iterator[bytes]:
    compressor = brotli.Compressor(quality=1)
    for _ in range(mib):
        yield compressor.process(bytes(MIB)) + compressor.flush()


def zstd_bomb(mib: int) -> Iterator[bytes]:
    yield from itertools.repeat(zstd.compress(bytes(MIB)), mib)


def in_small_chunks(chunks: Iterable[bytes], size: int = 100) -> Iterator[bytes]:
    for chunk in chunks:
        for start in range(0, len(chunk), size):
            yield chunk[start : start + size]


def in_one_chunk(chunks: Iterable[bytes]) -> Iterator[bytes]:
    yield b"".join(chunks)


BOMBS: dict[str, Callable[[], Iterable[bytes]]] = {
    "gzip": lambda: gzip_bomb(1024),
    "br": lambda: brotli_bomb(64),
    "zstd": lambda: zstd_bomb(1024),
    "gzip, gzip": lambda: [gzip.compress(b"".join(gzip_bomb(1024)))],
    "br, zstd": lambda: [zstd.compress(b"".join(brotli_bomb(64)))],
    "gzip, br, gzip": lambda: [gzip.compress(brotli.compress(b"".join(gzip_bomb(256)), quality=3))],
    "deflate, zstd": lambda: [zstd.compress(zlib.compress(bytes(64 * MIB)))],
}


@pytest.mark.parametrize("chunked", [in_small_chunks, in_one_chunk])
@pytest.mark.parametrize("names", BOMBS)
def test_h09_a_bomb_ends_at_max_size_and_needs_little_memory(
    names: str, chunked: Callable[[Iterable[bytes]], Iterable[bytes]]
) -> None:
    chunks = list(chunked(BOMBS[names]()))
    step = decoder(names, max_size=8 * MIB)
    made = 0
    tracemalloc.start()
    try:
        with pytest.raises(DecodingError, match="more than 8388608 bytes"):
            for piece in pieces(step, chunks):
                assert len(piece) <= PIECE
                made += len(piece)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert 8 * MIB - PIECE <= made <= 8 * MIB
    assert peak < MIB


@pytest.mark.parametrize("names", BOMBS)
def test_h09_a_bomb_goes_off_only_as_far_as_it_is_read(names: str) -> None:
    chunks = b"".join(BOMBS[names]())
    tracemalloc.start()
    try:
        content = decoder(names).feed(chunks)
        assert set(next(content)) == {0}
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < MIB


@each_encoder
def test_h09_max_size_may_be_reached_but_not_passed(encoder: str) -> None:
    name, encode = ENCODERS[encoder]
    body = encode(bytes(100_000))
    assert decode(name, body, max_size=100_000) == bytes(100_000)
    assert decode(f"{name}, gzip", gzip.compress(body), max_size=100_000) == bytes(100_000)
    with pytest.raises(DecodingError, match="more than 99999 bytes"):
        decode(name, body, max_size=99_999)
    assert decode(name, encode(b""), max_size=0) == b""
    with pytest.raises(DecodingError, match="more than 0 bytes"):
        decode(name, encode(b"x"), max_size=0)


@pytest.mark.parametrize("name", ["gzip", "zstd"])
def test_h09_empty_members_without_end_are_an_error(name: str) -> None:
    member = ENCODERS[name][1](b"")
    assert decode(name, member * 1000) == b""
    assert_always_an_error(name, member * 1001, "empty")
    body = gzip.compress(member * 1_000_000)
    with pytest.raises(DecodingError, match="empty"):
        decode(f"{name}, gzip", body)


@pytest.mark.parametrize("name", ["gzip", "zstd"])
def test_h09_what_many_members_cost_does_not_grow_with_the_chunk(name: str) -> None:
    member = ENCODERS[name][1](b"x")
    assert decode(name, member * 50_000) == b"x" * 50_000


def test_h09_empty_blocks_are_no_bomb() -> None:
    deflate = zlib.compressobj(wbits=31)
    body = deflate.compress(b"x") + deflate.flush(zlib.Z_SYNC_FLUSH)
    body += b"\0\0\0\xff\xff" * 1_000_000 + deflate.flush()
    assert decode("gzip", body) == b"x"


def test_h09_what_is_between_two_layers_has_a_limit_too() -> None:
    """Here the inner one has a file name without end, of which nothing comes out."""
    inner = b"\x1f\x8b\x08\x08" + bytes(6) + b"x" * (4 * MIB)
    with pytest.raises(DecodingError, match="more than 2065536 bytes"):
        decode("gzip, gzip", gzip.compress(inner), max_size=1_000_000)


def test_h09_a_window_larger_than_http_allows_is_an_error() -> None:
    options = {zstd.CompressionParameter.window_log: 24}
    body = zstd.ZstdCompressor(options=options)
    with pytest.raises(DecodingError, match="memory"):
        decode("zstd", body.compress(b"some content") + body.flush())


def test_a_library_that_makes_no_progress_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stuck:
        eof = needs_input = False
        unused_data = b""

        def decompress(self, data: bytes, max_length: int) -> bytes:
            return b""

    stuck = _content_coding._Coding("stuck", Stuck, zlib.error, None, may_trail=False)
    monkeypatch.setattr(_content_coding, "_coding", {"stuck": stuck}.get)
    with pytest.raises(DecodingError, match="stuck"):
        decode("stuck", b"x")


# Which codings there are


@pytest.mark.parametrize(
    "values", ["", [], "identity", "Identity, identity", ", ,", ["identity", ""]]
)
def test_nothing_to_undo(values: str | list[str]) -> None:
    assert content_decoder(values, max_size=None) is None


@pytest.mark.parametrize(
    "values",
    [
        "gzip",
        "GZip",
        "x-gzip",
        "X-GZIP",
        " gzip\t",
        "identity, gzip",
        ["gzip", "identity"],
        ",gzip,",
    ],
)
def test_names_are_case_insensitive_and_have_other_names(values: str | list[str]) -> None:
    made = b"".join(pieces(decoder(values), [gzip.compress(b"some content")]))
    assert made == b"some content"


def test_codings_are_undone_from_the_last_to_the_first() -> None:
    body = zlib.compress(gzip.compress(b"some content"))
    for values in "gzip, deflate", ["gzip", "deflate"], ["gzip", "identity,deflate"]:
        assert b"".join(pieces(decoder(values), [body])) == b"some content"


def test_an_unknown_coding_stays_and_so_do_those_below_it() -> None:
    for values in "unknown", "gzip, unknown", "gzip, compress", "utf-8":
        assert content_decoder(values, max_size=None) is None
    below = gzip.compress(b"not ours to undo")
    assert decode("gzip, unknown, br", brotli.compress(below)) == below
    assert decode("gzip, unknown, br", brotli.compress(below), max_size=len(below)) == below
    with pytest.raises(DecodingError, match="more than 5 bytes"):
        decode("gzip, unknown, br", brotli.compress(below), max_size=5)


def test_h09_six_codings_are_too_many() -> None:
    assert content_decoder(["gzip"] * 5 + ["identity"], max_size=None) is not None
    for values in "gzip," * 6, ["gzip"] * 6, "unknown, " * 6, "gzip," * 100_000:
        with pytest.raises(DecodingError, match="content codings, the limit is 5") as caught:
            content_decoder(values, max_size=None)
        assert caught.value.phase == "receive body"


def test_a_piece_has_a_size() -> None:
    with pytest.raises(ValueError, match="piece must be at least 1"):
        content_decoder("gzip", max_size=None, piece=0)


@pytest.fixture
def forgetful(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Which libraries there are is asked anew, in the test and after it."""
    functions = accept_encoding, _brotli_library, _zstd_name, _content_coding._coding
    for function in functions:
        function.cache_clear()
    yield monkeypatch
    for function in functions:
        function.cache_clear()


def test_all_that_can_be_undone_is_offered() -> None:
    assert accept_encoding() == "gzip, deflate, br, zstd"


def test_without_a_library_its_coding_is_not_offered_and_stays(
    forgetful: pytest.MonkeyPatch,
) -> None:
    for module in "brotli", "brotlicffi", "_zstd", "backports.zstd":
        forgetful.setitem(sys.modules, module, None)
    assert accept_encoding() == "gzip, deflate"
    assert content_decoder("br", max_size=None) is None
    assert content_decoder("zstd", max_size=None) is None
    forgetful.setitem(sys.modules, "backports", None)
    forgetful.delitem(sys.modules, "backports.zstd")
    _zstd_name.cache_clear()
    assert _zstd_name() is None


def test_h09_a_brotli_without_a_limit_is_not_used(forgetful: pytest.MonkeyPatch) -> None:
    old = types.ModuleType("brotli")
    old.Decompressor = type("Decompressor", (), {})  # type: ignore[attr-defined]  # a stand-in
    forgetful.setitem(sys.modules, "brotli", old)
    forgetful.setitem(sys.modules, "brotlicffi", None)
    assert "br" not in accept_encoding()
    forgetful.setitem(sys.modules, "brotlicffi", brotli)
    accept_encoding.cache_clear()
    _brotli_library.cache_clear()
    assert accept_encoding() == "gzip, deflate, br, zstd"
    assert decode("br", brotli.compress(b"some content")) == b"some content"


def test_from_python_3_14_on_zstd_is_in_the_standard_library(
    forgetful: pytest.MonkeyPatch,
) -> None:
    forgetful.setattr(sys, "version_info", (3, 14))
    forgetful.setitem(sys.modules, "_zstd", importlib.import_module("json"))
    forgetful.setitem(sys.modules, "compression.zstd", zstd)
    forgetful.setitem(sys.modules, "backports.zstd", None)
    assert accept_encoding() == "gzip, deflate, br, zstd"
    assert decode("zstd", zstd.compress(b"some content")) == b"some content"


def test_no_library_is_imported_before_it_is_needed() -> None:
    code = (
        "import sys, httpclient, httpclient._content_coding as module;"
        "module.content_decoder('gzip', max_size=None);"
        "assert not {'brotli', 'brotlicffi', 'backports.zstd', 'compression.zstd'} & {*sys.modules}"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
