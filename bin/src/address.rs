//! Addresses as people write them. One that makes no sense is one clear line, exit code 2.

use std::fmt::{self, Display, Formatter};
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;

use butterfly::Seed;

use crate::cli::DEFAULT_GATEWAY;
use crate::failure::Failure;
use crate::settings::Settings;

/// The `IP:PORT` that was given to an option; port 0 is for the system to choose.
pub fn socket(option: &str, text: &str) -> Result<SocketAddr, Failure> {
    written(option, text, "127.0.0.1:9638 or [::1]:9638")
}

/// Where a gateway is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A TCP address.
    At(SocketAddr),
    /// A Unix socket.
    Socket(PathBuf),
}

impl Place {
    /// Whether what is sent there stays on this machine.
    pub fn is_here(&self) -> bool {
        match self {
            Place::At(addr) => addr.ip().to_canonical().is_loopback(),
            Place::Socket(_) => true,
        }
    }

    /// As a browser, or the commands, would be told.
    pub fn url(&self) -> String {
        match self {
            Place::At(addr) => format!("http://{addr}"),
            Place::Socket(_) => self.to_string(),
        }
    }
}

impl Display for Place {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Place::At(addr) => write!(f, "{addr}"),
            Place::Socket(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A gateway as people write it: a URL, `HOST:PORT`, or `unix:` and a path. Names are resolved now.
pub fn gateway(option: &str, text: &str) -> Result<Place, Failure> {
    if let Some(path) = text.strip_prefix("unix:") {
        let path = PathBuf::from(path.strip_prefix("//").unwrap_or(path));
        // As the system has it, in `sockaddr_un`.
        return match path.as_os_str().len() {
            0 => Err(Failure::usage(format_args!(
                "{option} {text}: write the path of a socket, like unix:/run/butterfly/http"
            ))),
            1..=103 => Ok(Place::Socket(path)),
            length => Err(Failure::usage(format_args!(
                "{option} {text}: the path of a socket has 103 bytes at most, and this one {length}"
            ))),
        };
    }
    if text.starts_with("https:") {
        return Err(Failure::usage(format_args!(
            "{option} {text}: a gateway speaks HTTP without TLS: write http://IP:PORT"
        )));
    }
    let address = text.strip_prefix("http://").unwrap_or(text);
    let address = address.strip_suffix('/').unwrap_or(address);
    let is_named = |text: &str| matches!(peer(text), Ok(Seed::Named(_)));
    // Of a gateway, port 0 is for the system to choose.
    let is_named = is_named(address)
        || address
            .strip_suffix(":0")
            .is_some_and(|host| is_named(&format!("{host}:1")));
    if address.parse::<SocketAddr>().is_err() && is_named {
        let found = address.to_socket_addrs().map(Vec::from_iter);
        let found =
            found.map_err(|error| Failure::failed(format_args!("{option} {text}: {error}")))?;
        // Where a name has both, as localhost has, gateways are at the older one unless told otherwise.
        let first = found.iter().find(|addr| addr.is_ipv4()).or(found.first());
        return first
            .copied()
            .map(Place::At)
            .ok_or_else(|| Failure::failed(format_args!("{option} {text}: it has no address")));
    }
    written(option, address, DEFAULT_GATEWAY).map(Place::At)
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
pub fn peer(text: &str) -> Result<Seed, String> {
    if let Some(why) = with_interface(text) {
        return Err(format!("{text}: {why}"));
    }
    let seed = Seed::from(text);
    match (seed.check(), &seed) {
        (Ok(()), _) => Ok(seed),
        (Err(_), Seed::At(_)) => Err(format!("{text}: a peer needs a port, it cannot be 0")),
        (Err(_), _) => Err(format!(
            "{text}: not a peer, write HOST:PORT, like web-1:9638 or 10.0.0.7:9638, or srv:NAME, like srv:_butterfly._udp.example"
        )),
    }
}

/// The peers of a member that is to run.
pub fn peers(settings: &Settings) -> Result<Vec<Seed>, Failure> {
    let peers: Result<_, _> = settings.args.peer.iter().map(|text| peer(text)).collect();
    peers.map_err(|error| Failure::usage(format_args!("{} {error}", settings.called("peer"))))
}

/// The addresses that a `HOST:PORT` stands for, one at least, asked of the resolver now.
pub fn resolve(text: &str) -> Result<Vec<SocketAddr>, Failure> {
    let name = match peer(text).map_err(Failure::usage)? {
        Seed::At(addr) => return Ok(vec![addr]),
        named => named.to_string(),
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
        let at = |text: &str| Seed::At(text.parse().unwrap());
        assert_eq!(peer("10.0.0.7:9638"), Ok(at("10.0.0.7:9638")));
        assert_eq!(peer("[::1]:9638"), Ok(at("[::1]:9638")));
        assert_eq!(peer("web-1:9638"), Ok(Seed::Named("web-1:9638".into())));
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
    fn a_gateway_is_a_url_an_address_a_name_or_a_socket() {
        let at = Place::At("127.0.0.1:9631".parse().unwrap());
        for text in [
            "127.0.0.1:9631",
            "http://127.0.0.1:9631",
            "http://127.0.0.1:9631/",
            "localhost:9631",
            "http://localhost:9631/",
        ] {
            assert_eq!(gateway("--http", text), Ok(at.clone()), "{text}");
        }
        let socket = Place::Socket("/run/butterfly/http".into());
        for text in ["unix:/run/butterfly/http", "unix:///run/butterfly/http"] {
            assert_eq!(gateway("--http", text), Ok(socket.clone()), "{text}");
        }
        assert_eq!(socket.to_string(), "unix:/run/butterfly/http");
        let long = format!("unix:/{}", "x".repeat(103));
        for (text, why) in [
            ("", "not an address"),
            ("localhost", "write IP:PORT"),
            ("http://127.0.0.1:9631/status", "not an address"),
            ("https://127.0.0.1:9631", "without TLS"),
            ("unix:", "the path of a socket"),
            (long.as_str(), "103 bytes at most"),
            ("[fe80::1%eth0]:9631", "link-local"),
        ] {
            let error = gateway("BUTTERFLY_HTTP", text).unwrap_err().to_string();
            assert!(
                error.contains(why) && error.contains("BUTTERFLY_HTTP"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_bad_address_is_one_line() {
        let error = socket("--listen", "nonsense").unwrap_err();
        assert!(format!("{error:?}").contains("--listen nonsense"));
    }
}
