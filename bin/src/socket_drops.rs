//! Datagrams that the system dropped before this process could read them, as its socket was full.

use std::fs;
use std::net::{IpAddr, SocketAddr};

/// How many those are of the UDP socket at this address. `None`: the system does not say; Linux does, for each socket of this
/// network (proc(5)).
pub fn of(listening: SocketAddr) -> Option<u64> {
    let table = match listening {
        SocketAddr::V4(_) => "/proc/self/net/udp",
        SocketAddr::V6(_) => "/proc/self/net/udp6",
    };
    drops(&fs::read_to_string(table).ok()?, listening)
}

fn drops(table: &str, listening: SocketAddr) -> Option<u64> {
    let wanted = written(listening);
    let is_it = |line: &&str| line.split_whitespace().nth(1) == Some(&wanted);
    let line = table.lines().find(is_it)?;
    line.split_whitespace().last()?.parse().ok()
}

/// An address as the kernel writes it: words of its memory, in hexadecimal.
fn written(addr: SocketAddr) -> String {
    let bytes = match addr.ip() {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let words = bytes.chunks_exact(4).map(|word| match *word {
        [a, b, c, d] => u32::from_ne_bytes([a, b, c, d]),
        _ => 0,
    });
    let words: String = words.map(|word| format!("{word:08X}")).collect();
    format!("{words}:{:04X}", addr.port())
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    #[test]
    fn what_a_full_socket_lost_is_counted() {
        for host in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(full) = UdpSocket::bind(host) else {
                continue; // A machine without IPv6.
            };
            let addr = full.local_addr().unwrap();
            assert_eq!(of(addr), Some(0), "{addr}");
            let sender = UdpSocket::bind(host).unwrap();
            let datagram = [0; 1024];
            // More than a socket holds.
            for _ in 0..20_000 {
                sender.send_to(&datagram, addr).unwrap();
            }
            assert!(of(addr) > Some(0), "{addr}");
        }
        assert_eq!(drops("", "127.0.0.1:1".parse().unwrap()), None);
    }
}
