"""Hashes of strings that are the same on every machine: FarmHash's Fingerprint64 and SipHash-2-4.

Each works on many strings of one length at once: their bytes are the rows of a matrix, and the path through the
algorithm depends on the length alone, so every operation is one NumPy operation on a column.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

Words = np.ndarray  # uint64, one for each string; arithmetic is modulo 2**64, as it must be

_K0 = np.uint64(0xC3A5C85C97CB3127)
_K1 = np.uint64(0xB492B66FBE98F273)
_K2 = np.uint64(0x9AE16A3B2F90404F)


def fingerprint64(strings: Sequence[bytes]) -> np.ndarray:
    """FarmHash's Fingerprint64 (Pike and Alakuijala, Google, 2014) of each string, as uint64.

    Example:
        >>> fingerprint64([b"", b"lamella"]).tolist()
        [11160318154034397263, 3626444200842391968]
    """
    return _by_length(strings, _farm)


def siphash(strings: Sequence[bytes], key: tuple[int, int]) -> np.ndarray:
    """SipHash-2-4 (Aumasson and Bernstein, 2012) of each string under a key of two 64-bit numbers, as uint64.

    Example:
        >>> hex(siphash([bytes(range(15))], (0x0706050403020100, 0x0F0E0D0C0B0A0908))[0])  # the paper's example
        '0xa129ca6149be45e5'
    """
    return _by_length(strings, lambda rows: _sip(rows, key))


def fingerprint_cat64(first: Words, second: Words) -> Words:
    """The fingerprint of two fingerprints, by which TensorFlow crosses features."""
    multiplier = np.uint64(0xC6A4A7935BD1E995)
    result = first ^ multiplier ^ (_shift_mix(second * multiplier) * multiplier)
    return _shift_mix(_shift_mix(result * multiplier) * multiplier)


def _by_length(strings: Sequence[bytes], function: Callable[[np.ndarray], Words]) -> np.ndarray:
    lengths = np.fromiter(map(len, strings), np.int64, len(strings))
    result = np.empty(len(strings), np.uint64)
    with np.errstate(over="ignore"):
        for length in np.unique(lengths):
            where = np.flatnonzero(lengths == length)
            joined = b"".join([strings[i] for i in where])  # type: ignore[call-overload]
            result[where] = function(np.frombuffer(joined, np.uint8).reshape(len(where), int(length)))
    return result


def _word(rows: np.ndarray, start: int, size: int = 8) -> Words:
    """The little-endian number in `size` bytes from `start`."""
    word = np.zeros(len(rows), np.uint64)
    for i in range(size):
        word |= rows[:, start + i].astype(np.uint64) << np.uint64(8 * i)
    return word


def _rotate_right(x: Words, by: int) -> Words:
    return (x >> np.uint64(by)) | (x << np.uint64(64 - by))


def _shift_mix(x: Words) -> Words:
    return x ^ (x >> np.uint64(47))


def _mix(u: Words, v: Words, multiplier: Words) -> Words:
    a = _shift_mix((u ^ v) * multiplier)
    return _shift_mix((v ^ a) * multiplier) * multiplier


def _farm(rows: np.ndarray) -> Words:
    length = rows.shape[1]
    if length <= 16:
        return _farm_short(rows, length)
    if length <= 64:
        return _farm_medium(rows, length)
    return _farm_long(rows, length)


def _farm_short(rows: np.ndarray, length: int) -> Words:
    n = np.uint64(length)
    multiplier = _K2 + n * np.uint64(2)
    if length >= 8:
        a, b = _word(rows, 0) + _K2, _word(rows, length - 8)
        c = _rotate_right(b, 37) * multiplier + a
        d = (_rotate_right(a, 25) + b) * multiplier
        return _mix(c, d, multiplier)  # type: ignore[arg-type]
    if length >= 4:
        first, last = _word(rows, 0, 4), _word(rows, length - 4, 4)
        return _mix(n + (first << np.uint64(3)), last, multiplier)  # type: ignore[arg-type]
    if length == 0:
        return np.full(len(rows), _K2)
    a, b, c = (rows[:, i].astype(np.uint64) for i in (0, length >> 1, length - 1))
    y, z = a + (b << np.uint64(8)), n + (c << np.uint64(2))
    return _shift_mix(y * _K2 ^ z * _K0) * _K2


def _farm_medium(rows: np.ndarray, length: int) -> Words:
    multiplier = _K2 + np.uint64(length * 2)
    long = length > 32
    a, b = _word(rows, 0) * (_K2 if long else _K1), _word(rows, 8)
    c, d = _word(rows, length - 8) * multiplier, _word(rows, length - 16) * _K2
    y = _rotate_right(a + b, 43) + _rotate_right(c, 30) + d
    z = _mix(y, a + _rotate_right(b + _K2, 18) + c, multiplier)  # type: ignore[arg-type]
    if not long:
        return z
    e, f = _word(rows, 16) * multiplier, _word(rows, 24)
    g, h = (y + _word(rows, length - 32)) * multiplier, (z + _word(rows, length - 24)) * multiplier
    return _mix(_rotate_right(e + f, 43) + _rotate_right(g, 30) + h, e + _rotate_right(f + a, 18) + g, multiplier)  # type: ignore[arg-type]


def _weak(rows: np.ndarray, start: int, a: Words, b: Words) -> tuple[Words, Words]:
    w, x, y, z = (_word(rows, start + 8 * i) for i in range(4))
    a = a + w
    b = _rotate_right(b + a + z, 21)
    total = a + x + y
    return total + z, b + _rotate_right(total, 44) + a


def _farm_long(rows: np.ndarray, length: int) -> Words:
    zero = np.zeros(len(rows), np.uint64)
    seed = np.uint64(81)
    y = zero + seed * _K1 + np.uint64(113)
    z = _shift_mix(y * _K2 + np.uint64(113)) * _K2
    v, w = (zero, zero), (zero, zero)
    x = seed * _K2 + _word(rows, 0)
    end = (length - 1) // 64 * 64
    for start in range(0, end, 64):
        x = _rotate_right(x + y + v[0] + _word(rows, start + 8), 37) * _K1
        y = _rotate_right(y + v[1] + _word(rows, start + 48), 42) * _K1
        x = x ^ w[1]
        y = y + v[0] + _word(rows, start + 40)
        z = _rotate_right(z + w[0], 33) * _K1
        v = _weak(rows, start, v[1] * _K1, x + w[0])
        w = _weak(rows, start + 32, z + w[1], y + _word(rows, start + 16))
        z, x = x, z
    multiplier = _K1 + ((z & np.uint64(0xFF)) << np.uint64(1))
    start = length - 64
    nine = np.uint64(9)
    w = (w[0] + np.uint64((length - 1) & 63), w[1])
    v = (v[0] + w[0], v[1])
    w = (w[0] + v[0], w[1])
    x = _rotate_right(x + y + v[0] + _word(rows, start + 8), 37) * multiplier
    y = _rotate_right(y + v[1] + _word(rows, start + 48), 42) * multiplier
    x = x ^ (w[1] * nine)
    y = y + v[0] * nine + _word(rows, start + 40)
    z = _rotate_right(z + w[0], 33) * multiplier
    v = _weak(rows, start, v[1] * multiplier, x + w[0])
    w = _weak(rows, start + 32, z + w[1], y + _word(rows, start + 16))
    z, x = x, z
    return _mix(_mix(v[0], w[0], multiplier) + _shift_mix(y) * _K0 + z, _mix(v[1], w[1], multiplier) + x, multiplier)


def _sip(rows: np.ndarray, key: tuple[int, int]) -> Words:
    k0, k1 = (np.uint64(int(part) & 0xFFFFFFFFFFFFFFFF) for part in key)
    zero = np.zeros(len(rows), np.uint64)
    state = [
        zero + (k0 ^ np.uint64(0x736F6D6570736575)),
        zero + (k1 ^ np.uint64(0x646F72616E646F6D)),
        zero + (k0 ^ np.uint64(0x6C7967656E657261)),
        zero + (k1 ^ np.uint64(0x7465646279746573)),
    ]
    length = rows.shape[1]
    whole = length // 8 * 8
    words = [_word(rows, start) for start in range(0, whole, 8)]
    words.append(_word(rows, whole, length - whole) | (np.uint64(length & 0xFF) << np.uint64(56)))
    for word in words:
        state[3] = state[3] ^ word
        state = _sip_round(_sip_round(state))
        state[0] = state[0] ^ word
    state[2] = state[2] ^ np.uint64(0xFF)
    for _ in range(4):
        state = _sip_round(state)
    return state[0] ^ state[1] ^ state[2] ^ state[3]


def _sip_round(state: list[Words]) -> list[Words]:
    a, b, c, d = state
    a, c = a + b, c + d
    b, d = _rotate_right(b, 64 - 13) ^ a, _rotate_right(d, 64 - 16) ^ c
    a = _rotate_right(a, 32)
    c, a = c + b, a + d
    b, d = _rotate_right(b, 64 - 17) ^ c, _rotate_right(d, 64 - 21) ^ a
    return [a, b, _rotate_right(c, 32), d]
