//! Seeds by address or by name, and who finds out what the names stand for.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::thread;

use super::{Butterfly, Handle};
use crate::error::CommandError;
use crate::event::SeedId;
use crate::text::is_hidden;

/// What the names of SRV records begin with.
const SRV: &str = "srv:";

/// Bytes of a thread's stack: what the system's resolver and its modules take, and room.
const STACK: usize = 512 << 10;

/// Where a member is asked for its ring.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Seed {
    /// At this address.
    At(SocketAddr),
    /// `HOST:PORT`, to be resolved anew at each attempt; or `srv:NAME`, whose resolver looks for SRV records:
    /// [`SystemResolver`] does not.
    Named(String),
}

impl Seed {
    /// Whether a member can be asked there at all: the port is not 0, and a name is neither empty nor too long, with nothing
    /// in it that no resolver takes.
    ///
    /// # Errors
    /// [`CommandError::BadSeed`].
    pub fn check(&self) -> Result<(), CommandError> {
        let fits = match self {
            Seed::At(addr) => addr.port() != 0,
            Seed::Named(name) => is_name(name),
        };
        fits.then_some(()).ok_or(CommandError::BadSeed)
    }
}

impl fmt::Display for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Seed::At(addr) => addr.fmt(f),
            Seed::Named(name) => f.write_str(name),
        }
    }
}

impl From<SocketAddr> for Seed {
    fn from(addr: SocketAddr) -> Self {
        Seed::At(addr)
    }
}

impl From<&str> for Seed {
    fn from(text: &str) -> Self {
        let addr = text.parse().map(Seed::At);
        addr.unwrap_or_else(|_| Seed::Named(text.to_owned()))
    }
}

impl From<String> for Seed {
    fn from(text: String) -> Self {
        Seed::from(text.as_str())
    }
}

/// Finds the addresses that the names of seeds stand for; a closure can, too.
pub trait Resolve: Send {
    /// Has the addresses of `HOST:PORT` found, and [given](Answer::give). It is called in the member's loop, so it must not
    /// wait: the finding is another thread's, or another task's.
    fn resolve(&mut self, name: &str, answer: Answer);
}

impl<F: FnMut(&str, Answer) + Send> Resolve for F {
    fn resolve(&mut self, name: &str, answer: Answer) {
        self(name, answer);
    }
}

/// Where the addresses of a seed's name are given. Dropped, it says that there are none at the moment.
#[derive(Debug)]
pub struct Answer {
    handle: Handle,
    seed: SeedId,
    found: io::Result<Vec<SocketAddr>>,
}

impl Answer {
    /// The name stands for these, or could not be resolved. From any thread.
    pub fn give(mut self, found: io::Result<Vec<SocketAddr>>) {
        self.found = found;
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        let (seed, found) = (
            self.seed,
            std::mem::replace(&mut self.found, Ok(Vec::new())),
        );
        // If it fails, the member is gone, and nobody wants to know.
        let _ = self
            .handle
            .send(move |member| member.name_resolved(seed, found));
    }
}

/// Asks the system, each time on a thread of its own that ends with the answer: a slow or silent name server delays
/// neither the loop nor the other names.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve(&mut self, name: &str, answer: Answer) {
        if name.starts_with(SRV) {
            let none = "the system's resolver looks for no SRV records";
            return answer.give(Err(io::Error::other(none)));
        }
        let text = name.to_owned();
        let lookup = move || answer.give(text.to_socket_addrs().map(Iterator::collect));
        let thread = thread::Builder::new().name("resolver".into());
        // Without a thread, the answer is dropped.
        if let Err(error) = thread.stack_size(STACK).spawn(lookup) {
            log::warn!("seed {name}: no thread to look it up: {error}; it will be tried again");
        }
    }
}

/// The seeds of a member that have names.
pub(super) struct Names {
    resolver: Box<dyn Resolve>,
    named: BTreeMap<SeedId, Name>,
}

struct Name {
    text: String,
    /// It is being looked up.
    pending: bool,
    /// Why the last look-up found no address to ask.
    trouble: Option<String>,
}

impl Default for Names {
    fn default() -> Self {
        Names {
            resolver: Box::new(SystemResolver),
            named: BTreeMap::new(),
        }
    }
}

/// Whether it may be `HOST:PORT`, or `srv:NAME`.
fn is_name(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte) || byte >= 0x80;
    let is_host = |host: &str| {
        (1..=253).contains(&host.len()) && host.bytes().all(fits) && !host.contains(is_hidden)
    };
    let is_port = |port: &str| port.parse::<u16>().is_ok_and(|port| port != 0);
    if let Some(name) = text.strip_prefix(SRV) {
        return is_host(name);
    }
    let parts = text.rsplit_once(':');
    parts.is_some_and(|(host, port)| is_host(host) && is_port(port))
}

/// Joining.
impl Butterfly {
    /// Asks this seed for members of the ring, from now on, ever more slowly: an address, or `HOST:PORT` as text. A name is
    /// resolved anew before each attempt, by the [resolver](Butterfly::set_resolver). A name that is asked already is asked
    /// again at once.
    ///
    /// ```
    /// # let mut member = butterfly::Butterfly::bind(butterfly::Config::new("127.0.0.1:0".parse()?))?;
    /// member.join("web-1.example:9638")?;
    /// member.join("10.0.0.7:9638")?;
    /// assert!(member.join("web-1").is_err(), "it has no port");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Node::join`](crate::Node::join); [`CommandError::BadSeed`]: it is neither; [`CommandError::NoDescriptor`].
    pub fn join(&mut self, seed: impl Into<Seed>) -> Result<SeedId, CommandError> {
        let seed = seed.into();
        seed.check()?;
        let name = match seed {
            Seed::At(addr) => return self.node.join(self.clock(), addr),
            Seed::Named(name) => name,
        };
        if self.node.is_leaving() {
            return Err(CommandError::Leaving);
        }
        self.handle().map_err(|_| CommandError::NoDescriptor)?;
        let mut known = self.names.named.iter();
        let known = known.find(|(_, known)| known.text == name);
        if let Some(seed) = known.map(|(seed, _)| *seed) {
            self.resolve(seed);
            return Ok(seed);
        }
        let seed = self.node.join_named(self.clock())?;
        let name = Name {
            text: name,
            pending: false,
            trouble: None,
        };
        self.names.named.insert(seed, name);
        Ok(seed)
    }

    /// Asks this seed no more; whether it did. Members that are known by it stay known.
    pub fn unjoin(&mut self, seed: SeedId) -> bool {
        self.names.named.remove(&seed);
        self.node.unjoin(self.clock(), seed)
    }

    /// Why the name of this seed led nowhere when it was looked up last.
    pub fn seed_trouble(&self, seed: SeedId) -> Option<&str> {
        self.names.named.get(&seed)?.trouble.as_deref()
    }

    /// Whether it can send to this address: an IPv4 socket reaches no IPv6 address, and one on a single IPv6 address no IPv4.
    pub fn reaches(&self, addr: SocketAddr) -> bool {
        reaches(self.local_addr(), addr)
    }

    /// Has names of seeds resolved by this from now on, instead of by the system on a thread for each lookup.
    pub fn set_resolver(&mut self, resolver: impl Resolve + 'static) {
        self.names.resolver = Box::new(resolver);
    }

    /// The name of this seed is looked up, unless it is already; whether the seed has one that is known here.
    pub(super) fn resolve(&mut self, seed: SeedId) -> bool {
        let Ok(handle) = self.handle() else {
            return false;
        };
        let Some(name) = self.names.named.get_mut(&seed) else {
            return false;
        };
        if !std::mem::replace(&mut name.pending, true) {
            let found = Ok(Vec::new());
            let answer = Answer {
                handle,
                seed,
                found,
            };
            self.names.resolver.resolve(&name.text, answer);
        }
        true
    }

    fn name_resolved(&mut self, seed: SeedId, found: io::Result<Vec<SocketAddr>>) {
        let here = self.local_addr();
        let Some(name) = self.names.named.get_mut(&seed) else {
            return;
        };
        name.pending = false;
        let found = usable(found, here);
        let trouble = found.as_ref().err().cloned();
        // The same again is no news.
        if let Some(trouble) = trouble.as_ref().filter(|_| name.trouble != trouble) {
            log::warn!("seed {}: {trouble}; it will be tried again", name.text);
        }
        name.trouble = trouble;
        self.seed_resolved(seed, &found.unwrap_or_default());
    }
}

/// Whether a member that listens there can send to this address.
fn reaches(listening: SocketAddr, addr: SocketAddr) -> bool {
    // A socket on all of IPv6 reaches IPv4 too.
    let both = listening.is_ipv6() && listening.ip().is_unspecified();
    both || addr.ip().to_canonical().is_ipv4() == listening.is_ipv4()
}

/// The addresses that a member which listens there can reach; or why there are none.
fn usable(
    found: io::Result<Vec<SocketAddr>>,
    listening: SocketAddr,
) -> Result<Vec<SocketAddr>, String> {
    let mut addrs = found.map_err(|error| error.to_string())?;
    if addrs.is_empty() {
        return Err("it has no address".to_owned());
    }
    addrs.retain(|addr| reaches(listening, *addr));
    if addrs.is_empty() {
        return Err(format!("no address of it can be reached from {listening}"));
    }
    Ok(addrs)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::net::logged;
    use crate::{Config, Timing};

    fn member() -> Butterfly {
        let config = Config::new("127.0.0.1:0".parse().unwrap()).timing(Timing::local());
        Butterfly::bind(config).unwrap()
    }

    fn until(members: &mut [&mut Butterfly], mut holds: impl FnMut(&[&mut Butterfly]) -> bool) {
        let start = Instant::now();
        while !holds(members) {
            assert!(start.elapsed() < Duration::from_secs(20), "waited in vain");
            for member in &mut *members {
                member.process().unwrap();
                while member.poll_event().is_some() {}
            }
        }
    }

    #[test]
    fn a_name_is_all_that_joining_takes() {
        let (mut seed, mut other) = (member(), member());
        let port = seed.local_addr().port();
        other.join(format!("localhost:{port}")).unwrap();
        until(&mut [&mut seed, &mut other], |both| {
            both.iter().all(|it| it.members().count() == 2)
        });
    }

    #[test]
    fn another_resolver_may_take_its_time_and_is_asked_one_thing_at_a_time() {
        let (mut seed, mut other) = (member(), member());
        let (asked, questions) = mpsc::channel();
        other
            .set_resolver(move |name: &str, answer| asked.send((name.to_owned(), answer)).unwrap());
        let id = other.join("db.example:1").unwrap();
        assert_eq!(other.join("db.example:1"), Ok(id));
        let (name, answer) = questions.recv().unwrap();
        assert_eq!(name, "db.example:1");
        for _ in 0..20 {
            other.process().unwrap();
            while other.poll_event().is_some() {}
        }
        assert!(questions.try_recv().is_err(), "it is asked already");
        answer.give(Ok(vec![seed.local_addr()]));
        until(&mut [&mut seed, &mut other], |both| {
            both.iter().all(|it| it.members().count() == 2)
        });
    }

    #[test]
    fn what_is_dropped_or_fails_is_asked_again() {
        let mut member = member();
        let (asked, questions) = mpsc::channel();
        member.set_resolver(move |_: &str, answer| asked.send(answer).unwrap());
        member.join("db.example:1").unwrap();
        for _ in 0..3 {
            let mut answer = None;
            until(&mut [&mut member], |_| {
                answer = answer.take().or_else(|| questions.try_recv().ok());
                answer.is_some()
            });
            drop(answer);
        }
    }

    #[test]
    fn what_is_no_seed_is_refused() {
        let mut member = member();
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
            "http://web:80",
            "a\u{202e}b:1",
        ] {
            assert_eq!(member.join(text), Err(CommandError::BadSeed), "{text}");
        }
        assert_eq!(member.node().seeds(), 0);
    }

    #[test]
    fn a_member_asks_only_addresses_that_it_reaches() {
        let v4: SocketAddr = "127.0.0.1:1".parse().unwrap();
        let v6: SocketAddr = "[::1]:1".parse().unwrap();
        let both = || Ok(vec![v6, v4]);
        assert_eq!(usable(both(), v4), Ok(vec![v4]));
        assert_eq!(usable(both(), v6), Ok(vec![v6]));
        let all = "[::]:1".parse().unwrap();
        assert_eq!(usable(both(), all), Ok(vec![v6, v4]));
        let mapped = "[::ffff:127.0.0.1]:1".parse().unwrap();
        assert!(reaches(v4, mapped) && !reaches(v6, mapped));
        let out_of_reach = usable(Ok(vec![v6]), v4);
        assert_eq!(
            out_of_reach.unwrap_err(),
            "no address of it can be reached from 127.0.0.1:1"
        );
    }

    #[test]
    fn a_name_that_leads_nowhere_says_why_and_logs_it_once() {
        let mut member = member();
        let failing = |_: &str, answer: Answer| answer.give(Err(io::Error::other("refused")));
        member.set_resolver(failing);
        let seed = member.join("srv:_butterfly._udp.example").unwrap();
        let lines = logged::by(|| {
            for _ in 0..3 {
                member.resolve(seed);
                until(&mut [&mut member], |all| !all[0].names.named[&seed].pending);
            }
        });
        assert_eq!(
            lines,
            ["WARN seed srv:_butterfly._udp.example: refused; it will be tried again"]
        );
        assert_eq!(member.seed_trouble(seed), Some("refused"));
        assert!(member.unjoin(seed) && !member.unjoin(seed));
        assert_eq!(
            (member.seed_trouble(seed), member.node().seeds()),
            (None, 0)
        );
    }
}
