//! The protobuf wire format, as much of it as is spoken here: fields in, varints and tags out.

use crate::error::Reject;

/// The wire type of numbers.
pub(super) const VARINT: u8 = 0;
/// The wire type of bytes, texts and messages.
pub(super) const BYTES: u8 = 2;

/// The tag of a field with a number from 1 to 15: one byte.
#[inline(always)]
pub(super) const fn tag(number: u8, wire_type: u8) -> u8 {
    number << 3 | wire_type
}

/// One field's value. Those of 8 bytes belong to no field of ours, so nothing of them is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value<'a> {
    Varint(u64),
    Bytes(&'a [u8]),
    Fixed32(u32),
    Fixed,
}

/// A cursor over the fields of a message.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(super) const fn new(message: &'a [u8]) -> Self {
        Fields { rest: message }
    }

    /// What was not read yet.
    pub(super) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Bytes that were not read yet.
    pub(super) const fn left(&self) -> usize {
        self.rest.len()
    }

    /// The next field: its number and value; `None` at the end of the message.
    ///
    /// What runs past the end is `Truncated`; groups, unknown wire types, field 0 and varints that are no
    /// 64-bit number or padded beyond 5 bytes are `Malformed`.
    #[inline(always)]
    pub(super) fn next(&mut self) -> Result<Option<(u32, Value<'a>)>, Reject> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let tag = uint32(self.varint()?)?;
        // Not a match, of which a jump table would be made that is seldom predicted.
        let value = if tag & 7 == u32::from(BYTES) {
            Value::Bytes(self.bytes()?)
        } else if tag & 7 == u32::from(VARINT) {
            Value::Varint(self.varint()?)
        } else {
            self.fixed(tag & 7)?
        };
        match tag >> 3 {
            0 => Err(Reject::Malformed),
            number => Ok(Some((number, value))),
        }
    }

    #[cold]
    fn fixed(&mut self, wire_type: u32) -> Result<Value<'a>, Reject> {
        match wire_type {
            1 => self.take(8).map(|_| Value::Fixed),
            5 => {
                let bytes = self.take(4)?.first_chunk().copied();
                Ok(Value::Fixed32(u32::from_le_bytes(
                    bytes.unwrap_or_default(),
                )))
            }
            _ => Err(Reject::Malformed),
        }
    }

    /// The value of the next field if that is the varint with this number, 1 to 15.
    ///
    /// Senders write fields in ascending order, so asking for one after the other reads most messages
    /// without a choice to make for each field, which is twice as fast. What has another order is left
    /// for [`Fields::next`].
    #[inline(always)]
    pub(super) fn varint_if(&mut self, number: u8) -> Result<Option<u64>, Reject> {
        if self.skip_tag(tag(number, VARINT)) {
            self.varint().map(Some)
        } else {
            Ok(None)
        }
    }

    /// The value of the next field if that is the bytes, text or message with this number, 1 to 15.
    #[inline(always)]
    pub(super) fn bytes_if(&mut self, number: u8) -> Result<Option<&'a [u8]>, Reject> {
        if self.skip_tag(tag(number, BYTES)) {
            self.bytes().map(Some)
        } else {
            Ok(None)
        }
    }

    #[inline(always)]
    fn skip_tag(&mut self, tag: u8) -> bool {
        match self.rest {
            [first, rest @ ..] if *first == tag => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    #[inline(always)]
    fn bytes(&mut self) -> Result<&'a [u8], Reject> {
        let len = self.varint()?;
        self.take(usize::try_from(len).unwrap_or(usize::MAX))
    }

    #[inline(always)]
    fn take(&mut self, len: usize) -> Result<&'a [u8], Reject> {
        let (bytes, rest) = self.rest.split_at_checked(len).ok_or(Reject::Truncated)?;
        self.rest = rest;
        Ok(bytes)
    }

    #[inline(always)]
    pub(super) fn varint(&mut self) -> Result<u64, Reject> {
        // One byte for lengths and flags, two or three for ports.
        match *self.rest {
            [a, ref rest @ ..] if a < 0x80 => {
                self.rest = rest;
                Ok(u64::from(a))
            }
            [a, b, ref rest @ ..] if b < 0x80 => {
                self.rest = rest;
                Ok(u64::from(a & 0x7f) | u64::from(b) << 7)
            }
            [a, b, c, ref rest @ ..] if c < 0x80 => {
                self.rest = rest;
                Ok(u64::from(a & 0x7f) | u64::from(b & 0x7f) << 7 | u64::from(c) << 14)
            }
            _ => self.long_varint(),
        }
    }

    /// Also quick for five bytes, as most random 32-bit numbers have: every probe's has.
    #[inline(always)]
    pub(super) fn random_varint(&mut self) -> Result<u64, Reject> {
        match *self.rest {
            [a, b, c, d, e, ref rest @ ..] if a & b & c & d >= 0x80 && e < 0x80 => {
                let low = u32::from_le_bytes([a, b, c, d]) & 0x7f7f_7f7f;
                let pairs =
                    low & 0x7f | low >> 1 & 0x3f80 | low >> 2 & 0x1f_c000 | low >> 3 & 0xfe0_0000;
                self.rest = rest;
                Ok(u64::from(pairs) | u64::from(e) << 28)
            }
            _ => self.varint(),
        }
    }

    #[cold]
    fn long_varint(&mut self) -> Result<u64, Reject> {
        let mut value = 0;
        for index in 0..10 {
            let (&byte, rest) = self.rest.split_first().ok_or(Reject::Truncated)?;
            self.rest = rest;
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte < 0x80 {
                // The tenth byte holds one bit; padding beyond 5 bytes, nobody writes.
                let refused = (index == 9 && byte > 1) || (index >= 5 && byte == 0);
                return if refused {
                    Err(Reject::Malformed)
                } else {
                    Ok(value)
                };
            }
        }
        Err(Reject::Malformed)
    }
}

/// A varint as the number of a uint32 field.
#[inline(always)]
pub(super) fn uint32(varint: u64) -> Result<u32, Reject> {
    u32::try_from(varint).map_err(|_| Reject::Malformed)
}

/// A varint as the number of an int32 or enum field, which is written as a sign-extended 64-bit number.
#[inline(always)]
pub(super) fn int32(varint: u64) -> Result<i32, Reject> {
    i32::try_from(varint.cast_signed()).map_err(|_| Reject::Malformed)
}

/// Bytes that `value` takes as a varint.
#[inline(always)]
pub(super) const fn varint_len(value: u64) -> usize {
    // Seven bits a byte, and 0 takes one: (bits * 9 + 64) / 64 is ⌈bits / 7⌉ for 1..=64 bits.
    let bits = 64 - (value | 1).leading_zeros() as usize;
    (bits * 9 + 64) / 64
}

/// Bytes of a field with a one-byte tag and a length before its `len` bytes.
#[inline(always)]
pub(super) const fn bytes_len(len: usize) -> usize {
    1 + varint_len(len as u64) + len
}

/// Writes ascending into a buffer. The lengths are computed before, so nothing here runs past the end;
/// if something did, it would be left out, not panic.
pub(super) struct Writer<'b> {
    buf: &'b mut [u8],
    at: usize,
}

impl<'b> Writer<'b> {
    pub(super) const fn new(buf: &'b mut [u8], at: usize) -> Self {
        Writer { buf, at }
    }

    /// Where the next byte goes.
    pub(super) const fn at(&self) -> usize {
        self.at
    }

    #[inline(always)]
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        if let Some(slot) = self.buf.get_mut(self.at..self.at + bytes.len()) {
            slot.copy_from_slice(bytes);
        }
        self.at += bytes.len();
    }

    /// Writes `len` of these four bytes. It may put down all four, so what follows has to be written after
    /// it, and takes the room of those that do not count.
    #[inline(always)]
    pub(super) fn part(&mut self, bytes: &[u8; 4], len: usize) {
        if let Some(slot) = self.buf.get_mut(self.at..self.at + 4) {
            slot.copy_from_slice(bytes);
        }
        self.at += len;
    }

    /// Takes back the last `len` bytes.
    #[inline(always)]
    pub(super) fn back(&mut self, len: usize) {
        self.at -= len;
    }

    #[inline(always)]
    pub(super) fn byte(&mut self, byte: u8) {
        if let Some(slot) = self.buf.get_mut(self.at) {
            *slot = byte;
        }
        self.at += 1;
    }

    #[inline(always)]
    pub(super) fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.byte(value as u8 | 0x80);
            value >>= 7;
        }
        self.byte(value as u8);
    }

    /// Puts another byte in the place of one that was written.
    #[inline(always)]
    pub(super) fn set_byte(&mut self, at: usize, byte: u8) {
        if let Some(slot) = self.buf.get_mut(at) {
            *slot = byte;
        }
    }

    /// A varint of at most three bytes; a fourth has to be free.
    #[inline(always)]
    pub(super) fn port(&mut self, port: u16) {
        let port = u32::from(port);
        let [low, middle, high] = [port & 0x7f, port >> 7 & 0x7f, port >> 14];
        let (bits, len) = match port {
            0..0x80 => (low, 1),
            0x80..0x4000 => (low | 0x80 | middle << 8, 2),
            _ => (low | 0x80 | (middle | 0x80) << 8 | high << 16, 3),
        };
        self.part(&bits.to_le_bytes(), len);
    }

    /// A tag of one byte (fields 1 to 15) and a number.
    #[inline(always)]
    pub(super) fn number(&mut self, tag: u8, value: u64) {
        self.byte(tag);
        self.varint(value);
    }

    /// A tag of one byte and a length; that many bytes have to follow.
    #[inline(always)]
    pub(super) fn head(&mut self, tag: u8, len: usize) {
        self.number(tag, len as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padded_numbers_are_read_the_short_way_as_the_long_one_reads_them() {
        let padded: [&[u8]; 5] = [
            &[0x80, 0x80, 0x80, 0x80, 0],
            &[0xff, 0xff, 0xff, 0xff, 0],
            &[0x81, 0x80, 0x80, 0x80, 0x7f, 9],
            &[0x80, 0x80, 0x80, 0x80, 0x80, 0],
            &[0xff, 0xff, 0xff, 0xff, 0xff, 1],
        ];
        for bytes in padded {
            let (mut short, mut long) = (Fields::new(bytes), Fields::new(bytes));
            assert_eq!(short.random_varint(), long.long_varint(), "{bytes:x?}");
            assert_eq!(short.rest(), long.rest());
        }
    }

    #[test]
    fn numbers_of_five_bytes_are_read_the_short_way_as_the_long_one_reads_them() {
        for shift in 0..64 {
            for number in [
                1 << shift,
                u64::MAX >> shift,
                0x9e37_79b9_7f4a_7c15 >> shift,
            ] {
                let mut buf = [0xff; 12];
                let mut out = Writer::new(&mut buf, 0);
                out.varint(number);
                let len = out.at();
                for end in 0..=len + 1 {
                    let (mut short, mut long) =
                        (Fields::new(&buf[..end]), Fields::new(&buf[..end]));
                    assert_eq!(short.random_varint(), long.long_varint(), "{number} {end}");
                    assert!(end < len || short.left() == end - len && long.left() == end - len);
                }
            }
        }
    }
}
