//! Addresses and names as they stand on the wire: in text.

use std::fmt::{self, Write};
use std::net::{IpAddr, Ipv4Addr};

use super::field::Writer;
use crate::limits::MAX_NAME;

/// Every octet in decimal with a dot behind it, and how many bytes that is.
#[expect(clippy::indexing_slicing)] // At compile time.
static OCTETS: [([u8; 4], u8); 256] = {
    let mut octets = [(*b"000.", 4); 256];
    let mut octet = 0;
    while octet < 256 {
        let digits = [
            b'0' + (octet / 100) as u8,
            b'0' + (octet / 10 % 10) as u8,
            b'0' + (octet % 10) as u8,
        ];
        octets[octet] = match digits {
            [b'0', b'0', one] => ([one, b'.', 0, 0], 2),
            [b'0', ten, one] => ([ten, one, b'.', 0], 3),
            [hundred, ten, one] => ([hundred, ten, one, b'.'], 4),
        };
        octet += 1;
    }
    octets
};

/// The most bytes that an address takes in text: an IPv6 one that is IPv4-compatible.
pub(super) const LONGEST_IP: usize = 45;

/// Writes an address in text, with its length before it; none has no text. A few more bytes of room have to
/// follow.
#[inline]
pub(super) fn write_ip(out: &mut Writer<'_>, ip: Option<IpAddr>) {
    let start = out.at();
    out.byte(0);
    match ip {
        Some(IpAddr::V4(ip)) => {
            for octet in ip.octets() {
                let Some((digits, len)) = OCTETS.get(usize::from(octet)) else {
                    continue;
                };
                out.part(digits, usize::from(*len));
            }
            // The last one has no dot behind it.
            out.back(1);
        }
        // A writer takes everything.
        Some(IpAddr::V6(ip)) => write!(out, "{ip}").unwrap_or_default(),
        None => {}
    }
    out.set_byte(start, (out.at() - start - 1) as u8);
}

impl Write for Writer<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.bytes(text.as_bytes());
        Ok(())
    }
}

/// Reads an IP address; an IPv4-mapped one is the IPv4 address that it stands for.
#[inline]
pub(super) fn parse_ip(text: &[u8]) -> Option<IpAddr> {
    if let Some(ip) = parse_v4(text) {
        return Some(IpAddr::V4(ip));
    }
    let ip: IpAddr = std::str::from_utf8(text).ok()?.parse().ok()?;
    Some(ip.to_canonical())
}

/// Four numbers below 256, without leading zeros, joined by dots: what the standard library reads, faster.
#[inline]
fn parse_v4(text: &[u8]) -> Option<Ipv4Addr> {
    // Not longer than 255.255.255.255, so that no number overflows.
    if text.len() > 15 {
        return None;
    }
    let (mut ip, mut octets) = (0, 0);
    let (mut octet, mut digits) = (0u64, 0);
    for &byte in text {
        let digit = byte.wrapping_sub(b'0');
        if digit < 10 {
            octet = octet * 10 + u64::from(digit);
            digits += 1;
        } else if byte == b'.' {
            ip = ip << 8 | checked_octet(octet, digits)?;
            octets += 1;
            (octet, digits) = (0, 0);
        } else {
            return None;
        }
    }
    ip = ip << 8 | checked_octet(octet, digits)?;
    (octets == 3).then(|| Ipv4Addr::from_bits(ip))
}

/// A number that took that many digits, if it is an octet written the shortest way.
#[inline(always)]
fn checked_octet(number: u64, digits: usize) -> Option<u32> {
    let range = match digits {
        1 => 0..=9,
        2 => 10..=99,
        3 => 100..=255,
        _ => return None,
    };
    range.contains(&number).then_some(number as u32)
}

/// A name for people, cut to [`MAX_NAME`] bytes at a character's end.
#[inline]
pub(crate) fn cut_name(name: &str) -> &str {
    if name.len() <= MAX_NAME {
        return name;
    }
    let mut end = MAX_NAME;
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    name.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(ip: &str) -> String {
        let ip: Option<IpAddr> = Some(ip.parse().unwrap());
        let mut buf = [0; 64];
        let mut out = Writer::new(&mut buf, 0);
        write_ip(&mut out, ip);
        let text = 1..out.at();
        assert_eq!(usize::from(buf[0]), text.len());
        assert!(text.len() <= LONGEST_IP);
        String::from_utf8(buf[text].to_vec()).unwrap()
    }

    #[test]
    fn addresses_are_written_as_the_standard_library_does() {
        for ip in [
            "0.0.0.0",
            "127.0.0.1",
            "10.99.100.255",
            "255.255.255.255",
            "::",
            "::1",
            "2001:db8::7",
            "::ffff:1.2.3.4",
            "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        ] {
            assert_eq!(written(ip), ip);
        }
    }

    #[test]
    fn every_octet_is_written_and_read() {
        for octet in 0..=255 {
            let ip = Ipv4Addr::new(octet, 0, 255, octet);
            assert_eq!(written(&ip.to_string()), ip.to_string());
            assert_eq!(parse_v4(ip.to_string().as_bytes()), Some(ip));
        }
    }

    #[test]
    fn what_is_no_address_is_none() {
        for text in [
            "",
            ".",
            "1.2.3",
            "1.2.3.",
            ".1.2.3",
            "1..2.3",
            "1.2.3.4.",
            "1.2.3.4.5",
            "1.2.3.256",
            "1.2.3.1000",
            "01.2.3.4",
            "00.0.0.0",
            "1.2.3.4 ",
            " 1.2.3.4",
            "1.2.3.4:80",
            "host",
            "::g",
            "fe80::1%eth0",
            "[::1]",
        ] {
            assert_eq!(text.parse::<IpAddr>().ok(), None, "{text}");
            assert_eq!(parse_ip(text.as_bytes()), None, "{text}");
        }
        assert_eq!(parse_ip(b"1.2.3.\xff"), None);
    }

    #[test]
    fn a_mapped_address_is_the_one_it_stands_for() {
        let v4: IpAddr = "1.2.3.4".parse().unwrap();
        assert_eq!(parse_ip(b"::ffff:1.2.3.4"), Some(v4));
        assert_eq!(parse_ip(b"::ffff:102:304"), Some(v4));
        assert_eq!(parse_ip(b"::1"), "::1".parse().ok());
    }

    #[test]
    fn a_long_name_is_cut_between_characters() {
        let ascii = "x".repeat(MAX_NAME + 8);
        assert_eq!(cut_name(&ascii).len(), MAX_NAME);
        let wide = format!("x{}", "ü".repeat(MAX_NAME));
        assert_eq!(cut_name(&wide), &wide[..MAX_NAME - 1]);
        assert_eq!(cut_name("short"), "short");
    }
}
