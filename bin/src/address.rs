//! Addresses as people write them. One that makes no sense is one clear line, exit code 2.

use std::net::{SocketAddr, ToSocketAddrs};

use butterfly::text::is_hidden;

use crate::cli::DEFAULT_GATEWAY;
use crate::failure::Failure;
use crate::settings::Settings;

/// Where a peer is to be asked for the ring.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Peer {
    /// An address.
    At(SocketAddr),
    /// `HOST:PORT`, to be resolved anew at each attempt.
    Named(String),
}

/// The `IP:PORT` that was given to an option; port 0 is for the system to choose.
pub fn socket(option: &str, text: &str) -> Result<SocketAddr, Failure> {
    written(option, text, "127.0.0.1:9638 or [::1]:9638")
}

/// The `IP:PORT` of a gateway.
pub fn gateway(text: &str) -> Result<SocketAddr, Failure> {
    written("--http", text, DEFAULT_GATEWAY)
}

fn written(option: &str, text: &str, like: &str) -> Result<SocketAddr, Failure> {
    if let Some(why) = with_interface(text) {
        return Err(Failure::usage(format_args!("{option} {text}: {why}")));
    }
    text.parse().map_err(|_| {
        Failure::usage(format_args!(
            "{option} {text}: not an address, write IP:PORT, like {like}"
        ))
    })
}

/// Why an address with its interface, as in `[fe80::1%eth0]:9638`, is not taken.
fn with_interface(text: &str) -> Option<&'static str> {
    let is_one = text.starts_with('[') && text.contains('%');
    is_one.then_some(
        "link-local addresses need an interface, and members cannot tell each other theirs; give a global or unique-local \
         (fd00::/8) address",
    )
}

/// The `HOST:PORT` of a peer; the error says what is wrong with it.
pub fn peer(text: &str) -> Result<Peer, String> {
    if let Some(why) = with_interface(text) {
        return Err(format!("{text}: {why}"));
    }
    if let Ok(addr) = text.parse::<SocketAddr>() {
        return match addr.port() {
            0 => Err(format!("{text}: a peer needs a port, it cannot be 0")),
            _ => Ok(Peer::At(addr)),
        };
    }
    let wrong = || format!("{text}: not a peer, write HOST:PORT, like web-1:9638 or 10.0.0.7:9638");
    let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    let port_fits = port.parse::<u16>().is_ok_and(|port| port != 0);
    if port_fits && is_host_name(host) {
        Ok(Peer::Named(text.to_owned()))
    } else {
        Err(wrong())
    }
}

/// Whether it may be the name of a host: not too long, and nothing in it that no resolver takes.
fn is_host_name(host: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte) || byte >= 0x80;
    (1..=253).contains(&host.len()) && host.bytes().all(fits) && !host.contains(is_hidden)
}

/// The peers of a member that is to run.
pub fn peers(settings: &Settings) -> Result<Vec<Peer>, Failure> {
    let peers: Result<_, _> = settings.args.peer.iter().map(|text| peer(text)).collect();
    peers.map_err(|error| Failure::usage(format_args!("{} {error}", settings.called("peer"))))
}

/// The addresses that a `HOST:PORT` stands for, one at least, asked of the resolver now.
pub fn resolve(text: &str) -> Result<Vec<SocketAddr>, Failure> {
    let name = match peer(text).map_err(Failure::usage)? {
        Peer::At(addr) => return Ok(vec![addr]),
        Peer::Named(name) => name,
    };
    match name.to_socket_addrs().map(Vec::from_iter) {
        Ok(addrs) if addrs.is_empty() => {
            Err(Failure::failed(format_args!("{name}: it has no address")))
        }
        Ok(addrs) => Ok(addrs),
        Err(error) => Err(Failure::failed(format_args!("{name}: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_are_addresses_or_names() {
        let at = |text: &str| Peer::At(text.parse().unwrap());
        assert_eq!(peer("10.0.0.7:9638"), Ok(at("10.0.0.7:9638")));
        assert_eq!(peer("[::1]:9638"), Ok(at("[::1]:9638")));
        assert_eq!(peer("web-1:9638"), Ok(Peer::Named("web-1:9638".into())));
    }

    #[test]
    fn what_is_no_peer_is_refused() {
        for text in [
            "",
            ":",
            "web",
            "web:",
            "web:0",
            "web:70000",
            ":9638",
            "10.0.0.7:0",
            "::1:9638",
            "a b:1",
            "a\u{202e}b:1",
            "a\u{85}b:1",
            "http://web:80",
        ] {
            assert!(peer(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_address_with_its_interface_is_refused_with_the_reason() {
        for text in ["[fe80::1%eth0]:9638", "[fe80::1%2]:9638"] {
            assert!(peer(text).unwrap_err().contains("link-local"));
            let error = socket("--listen", text).unwrap_err();
            assert!(format!("{error:?}").contains("link-local"));
        }
    }

    #[test]
    fn a_bad_address_is_one_line() {
        let error = socket("--listen", "nonsense").unwrap_err();
        assert!(format!("{error:?}").contains("--listen nonsense"));
    }
}
