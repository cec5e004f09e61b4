//! Addresses and names as they stand on the wire: in text.

use std::fmt::{self, Write};
use std::net::{IpAddr, Ipv4Addr};

use crate::limits::MAX_NAME;

/// Room for the longest IP address in text, `ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255`.
const MAX_IP_TEXT: usize = 45;

/// An IP address in text, or nothing for none.
pub(super) struct IpText {
    text: [u8; MAX_IP_TEXT],
    len: usize,
}

impl IpText {
    #[inline]
    pub(super) fn new(ip: Option<IpAddr>) -> Self {
        let mut text = IpText {
            text: [0; MAX_IP_TEXT],
            len: 0,
        };
        match ip {
            Some(IpAddr::V4(ip)) => text.push_v4(ip),
            // The text always fits, so this cannot fail.
            Some(IpAddr::V6(ip)) => write!(text, "{ip}").unwrap_or_default(),
            None => {}
        }
        text
    }

    #[inline(always)]
    pub(super) fn as_bytes(&self) -> &[u8] {
        self.text.get(..self.len).unwrap_or_default()
    }

    #[inline]
    fn push_v4(&mut self, ip: Ipv4Addr) {
        for (index, octet) in ip.octets().into_iter().enumerate() {
            if index > 0 {
                self.push(b'.');
            }
            if octet >= 100 {
                self.push(b'0' + octet / 100);
            }
            if octet >= 10 {
                self.push(b'0' + octet / 10 % 10);
            }
            self.push(b'0' + octet % 10);
        }
    }

    #[inline(always)]
    fn push(&mut self, byte: u8) {
        if let Some(slot) = self.text.get_mut(self.len) {
            *slot = byte;
            self.len += 1;
        }
    }
}

impl Write for IpText {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            self.push(byte);
        }
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
    let mut octets = [0u8; 4];
    let mut index = 0;
    let mut digits = 0;
    for &byte in text {
        if byte == b'.' {
            if digits == 0 || index == 3 {
                return None;
            }
            index += 1;
            digits = 0;
            continue;
        }
        let digit = byte.wrapping_sub(b'0');
        let octet = octets.get_mut(index)?;
        if digit > 9 || (digits > 0 && *octet == 0) {
            return None;
        }
        *octet = octet.checked_mul(10)?.checked_add(digit)?;
        digits += 1;
    }
    (index == 3 && digits > 0).then(|| Ipv4Addr::from(octets))
}

/// A name for people, cut to [`MAX_NAME`] bytes at a character's end.
#[inline]
pub(super) fn cut_name(name: &str) -> &str {
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
        let ip: IpAddr = ip.parse().unwrap();
        String::from_utf8(IpText::new(Some(ip)).as_bytes().to_vec()).unwrap()
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
        assert_eq!(IpText::new(None).as_bytes(), b"");
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
        let ascii = "x".repeat(40);
        assert_eq!(cut_name(&ascii).len(), MAX_NAME);
        let wide = format!("x{}", "ü".repeat(20));
        assert_eq!(cut_name(&wide), &wide[..31]);
        assert_eq!(cut_name("short"), "short");
    }
}
