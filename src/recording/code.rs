//! Values ⇄ bytes: integers as varints, durations as nanoseconds, texts and lists behind their lengths.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use crate::member::{Incarnation, MemberId};
use crate::time::Time;

/// Bytes that are not what was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bad;

/// What is still to be read.
#[derive(Clone, Copy)]
pub(crate) struct Cursor<'a>(pub &'a [u8]);

impl<'a> Cursor<'a> {
    pub fn byte(&mut self) -> Result<u8, Bad> {
        let (first, rest) = self.0.split_first().ok_or(Bad)?;
        self.0 = rest;
        Ok(*first)
    }

    pub fn take(&mut self, len: usize) -> Result<&'a [u8], Bad> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or(Bad)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Bad> {
        self.take(N)?.try_into().map_err(|_| Bad)
    }
}

/// What can be written and read again.
pub(crate) trait Code<'a>: Sized {
    fn put(&self, out: &mut Vec<u8>);
    fn get(from: &mut Cursor<'a>) -> Result<Self, Bad>;
}

/// A struct is its fields, one after the other; those after `but` are left out, and empty when it is read.
macro_rules! fields {
    ($type:ident { $($field:ident),* $(,)? } $(but $($left_out:ident),*)?) => {
        impl<'a> $crate::recording::code::Code<'a> for $type {
            fn put(&self, out: &mut Vec<u8>) {
                // Naming all of them makes a new field a compile error here.
                let $type { $($field,)* $($($left_out: _,)*)? } = self;
                $($field.put(out);)*
            }

            fn get(
                from: &mut $crate::recording::code::Cursor<'a>,
            ) -> Result<Self, $crate::recording::code::Bad> {
                Ok($type {
                    $($field: $crate::recording::code::Code::get(from)?,)*
                    $($($left_out: Default::default(),)*)?
                })
            }
        }
    };
}
pub(crate) use fields;

impl Code<'_> for u64 {
    fn put(&self, out: &mut Vec<u8>) {
        let mut left = *self;
        while left >= 0x80 {
            out.push(left as u8 | 0x80);
            left >>= 7;
        }
        out.push(left as u8);
    }

    fn get(from: &mut Cursor<'_>) -> Result<Self, Bad> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = from.byte()?;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                return Err(Bad);
            }
            number |= bits << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(Bad)
    }
}

/// Smaller integers, as the largest.
macro_rules! integers {
    ($($type:ty),*) => {$(
        impl Code<'_> for $type {
            fn put(&self, out: &mut Vec<u8>) {
                (*self as u64).put(out);
            }

            fn get(from: &mut Cursor<'_>) -> Result<Self, Bad> {
                u64::get(from)?.try_into().map_err(|_| Bad)
            }
        }
    )*};
}
integers!(u8, u16, u32, usize);

impl Code<'_> for bool {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }

    fn get(from: &mut Cursor<'_>) -> Result<Self, Bad> {
        match from.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Bad),
        }
    }
}

impl Code<'_> for f64 {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_le_bytes());
    }

    fn get(from: &mut Cursor<'_>) -> Result<Self, Bad> {
        Ok(f64::from_le_bytes(from.array()?))
    }
}

impl<const N: usize> Code<'_> for [u8; N] {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }

    fn get(from: &mut Cursor<'_>) -> Result<Self, Bad> {
        from.array()
    }
}

impl Code<'_> for Duration {
    fn put(&self, out: &mut Vec<u8>) {
        let most = Duration::from_secs(u32::MAX.into());
        let span = most.min(*self);
        (span.as_secs(), span.subsec_nanos()).put(out);
    }

    fn get(from: &mut Cursor<'_>) -> Result<Self, Bad> {
        let (seconds, nanos) = Code::get(from)?;
        match nanos {
            // More than anybody waits, which no time is too far for.
            _ if seconds > u64::from(u32::MAX) => Err(Bad),
            0..1_000_000_000 => Ok(Duration::new(seconds, nanos)),
            _ => Err(Bad),
        }
    }
}

impl Code<'_> for Time {
    fn put(&self, out: &mut Vec<u8>) {
        self.as_micros().put(out);
    }

    fn get(from: &mut Cursor<'_>) -> Result<Self, Bad> {
        u64::get(from).map(Time::from_micros)
    }
}

impl<'a> Code<'a> for &'a [u8] {
    fn put(&self, out: &mut Vec<u8>) {
        self.len().put(out);
        out.extend_from_slice(self);
    }

    fn get(from: &mut Cursor<'a>) -> Result<Self, Bad> {
        let len = usize::get(from)?;
        from.take(len)
    }
}

impl<'a> Code<'a> for &'a str {
    fn put(&self, out: &mut Vec<u8>) {
        self.as_bytes().put(out);
    }

    fn get(from: &mut Cursor<'a>) -> Result<Self, Bad> {
        str::from_utf8(Code::get(from)?).map_err(|_| Bad)
    }
}

impl Code<'_> for String {
    fn put(&self, out: &mut Vec<u8>) {
        self.as_str().put(out);
    }

    fn get(from: &mut Cursor<'_>) -> Result<Self, Bad> {
        <&str>::get(from).map(str::to_owned)
    }
}

impl<'a, T: Code<'a> + Clone> Code<'a> for Cow<'a, T> {
    fn put(&self, out: &mut Vec<u8>) {
        T::put(self, out);
    }

    fn get(from: &mut Cursor<'a>) -> Result<Self, Bad> {
        T::get(from).map(Cow::Owned)
    }
}

impl<'a, T: Code<'a> + Clone> Code<'a> for Cow<'a, [T]> {
    fn put(&self, out: &mut Vec<u8>) {
        self.len().put(out);
        self.iter().for_each(|item| item.put(out));
    }

    fn get(from: &mut Cursor<'a>) -> Result<Self, Bad> {
        Vec::get(from).map(Cow::Owned)
    }
}

impl<'a, T: Code<'a>> Code<'a> for Vec<T> {
    fn put(&self, out: &mut Vec<u8>) {
        self.len().put(out);
        self.iter().for_each(|item| item.put(out));
    }

    fn get(from: &mut Cursor<'a>) -> Result<Self, Bad> {
        let len = usize::get(from)?;
        // Each takes a byte at least.
        if len > from.0.len() {
            return Err(Bad);
        }
        (0..len).map(|_| T::get(from)).collect()
    }
}

impl<'a, T: Code<'a>> Code<'a> for Option<T> {
    fn put(&self, out: &mut Vec<u8>) {
        self.is_some().put(out);
        if let Some(value) = self {
            value.put(out);
        }
    }

    fn get(from: &mut Cursor<'a>) -> Result<Self, Bad> {
        match bool::get(from)? {
            true => T::get(from).map(Some),
            false => Ok(None),
        }
    }
}

impl<'a, A: Code<'a>, B: Code<'a>> Code<'a> for (A, B) {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
        self.1.put(out);
    }

    fn get(from: &mut Cursor<'a>) -> Result<Self, Bad> {
        Ok((A::get(from)?, B::get(from)?))
    }
}

impl Code<'_> for IpAddr {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            IpAddr::V4(ip) => (4_u8, ip.octets()).put(out),
            IpAddr::V6(ip) => (6_u8, ip.octets()).put(out),
        }
    }

    fn get(from: &mut Cursor<'_>) -> Result<Self, Bad> {
        match from.byte()? {
            4 => Ok(Ipv4Addr::from(from.array::<4>()?).into()),
            6 => Ok(Ipv6Addr::from(from.array::<16>()?).into()),
            _ => Err(Bad),
        }
    }
}

impl Code<'_> for SocketAddr {
    fn put(&self, out: &mut Vec<u8>) {
        (self.ip(), self.port()).put(out);
    }

    fn get(from: &mut Cursor<'_>) -> Result<Self, Bad> {
        <(IpAddr, u16)>::get(from).map(SocketAddr::from)
    }
}

impl Code<'_> for MemberId {
    fn put(&self, out: &mut Vec<u8>) {
        self.as_bytes().put(out);
    }

    fn get(from: &mut Cursor<'_>) -> Result<Self, Bad> {
        from.array().map(MemberId::from_bytes)
    }
}

impl Code<'_> for Incarnation {
    fn put(&self, out: &mut Vec<u8>) {
        self.get().put(out);
    }

    fn get(from: &mut Cursor<'_>) -> Result<Self, Bad> {
        Incarnation::new(u64::get(from)?).ok_or(Bad)
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use super::*;

    fn same<T: for<'a> Code<'a> + PartialEq + Debug>(value: T, bytes: usize) {
        let mut out = Vec::new();
        value.put(&mut out);
        assert_eq!(out.len(), bytes, "{value:?}");
        let mut cursor = Cursor(&out);
        assert_eq!(T::get(&mut cursor).as_ref(), Ok(&value));
        assert!(cursor.0.is_empty());
        for cut in 0..bytes {
            let cut = &out[..cut];
            assert!(T::get(&mut Cursor(cut)).is_err(), "{value:?}: {cut:?}");
        }
    }

    #[test]
    fn what_was_written_is_read_again_and_nothing_less() {
        for (number, bytes) in [(0, 1), (127, 1), (128, 2), (u64::MAX, 10)] {
            same(number, bytes);
        }
        same(u16::MAX, 3);
        same(true, 1);
        same(-0.5, 8);
        same([1, 2, 3], 3);
        same(Duration::new(3, 999_999_999), 6);
        same(Time::from_micros(300), 2);
        same("grüße".to_owned(), 8);
        same(vec![(1_u64, true), (2, false)], 5);
        same(Some(Incarnation::MAX), 10);
        same(None::<u64>, 1);
        for addr in ["192.0.2.1:9638", "[2001:db8::1]:9638"] {
            let addr: SocketAddr = addr.parse().unwrap();
            same(addr, if addr.is_ipv4() { 7 } else { 19 });
        }
        same(MemberId::from_bytes([7; 16]), 16);
    }

    #[test]
    fn what_nobody_writes_is_refused() {
        assert_eq!(u64::get(&mut Cursor(&[0xff; 11])), Err(Bad));
        assert_eq!(
            u64::get(&mut Cursor(&[
                0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 2
            ])),
            Err(Bad)
        );
        assert_eq!(u16::get(&mut Cursor(&[0xff, 0xff, 0x7f])), Err(Bad));
        assert_eq!(bool::get(&mut Cursor(&[2])), Err(Bad));
        assert_eq!(<&str>::get(&mut Cursor(&[1, 0xff])), Err(Bad));
        assert_eq!(IpAddr::get(&mut Cursor(&[5, 0, 0, 0, 0])), Err(Bad));
        // A length alone takes no memory.
        assert_eq!(
            Vec::<u64>::get(&mut Cursor(&[0xff, 0xff, 0xff, 0x7f])),
            Err(Bad)
        );
    }
}
