//! Seeds from SRV records (RFC 2782): `srv:_butterfly._udp.example`.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use butterfly::{Answer, Resolve, SystemResolver};
use log::warn;
use resolv_conf::Config;
use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, Packet, PacketFlag, Question, RCODE, ResourceRecord, TYPE};

/// What the names of seeds begin with that are looked up here.
const PREFIX: &str = "srv:";
/// Where the system says which servers it asks.
const SYSTEM: &str = "/etc/resolv.conf";
/// How long a server may take, and how often it is asked.
const PATIENCE: Duration = Duration::from_secs(2);
const TRIES: usize = 2;
/// The largest answer over UDP, bytes; one that is larger is asked for over TCP.
const DATAGRAM: usize = 4096;
/// Records of one answer that are heeded.
const MOST_RECORDS: usize = 64;
/// How many of the hosts that records name are looked up at the same time, and after how long no more of them are.
const AT_ONCE: usize = 8;
const HOSTS_PATIENCE: Duration = Duration::from_secs(10);

/// Asks the system, and for SRV records the system's name servers, each time on a thread of its own.
pub struct Resolver(SystemResolver);

impl Resolver {
    pub fn new() -> Self {
        Resolver(SystemResolver)
    }
}

impl Resolve for Resolver {
    fn resolve(&mut self, name: &str, answer: Answer) {
        let Some(service) = name.strip_prefix(PREFIX).map(str::to_owned) else {
            return self.0.resolve(name, answer);
        };
        let lookup = move || answer.give(servers().and_then(|servers| find(&servers, &service)));
        // Without a thread, the answer is dropped.
        if let Err(error) = thread::Builder::new().name("resolver".into()).spawn(lookup) {
            warn!("seed {name}: no thread to look it up: {error}; it will be tried again");
        }
    }
}

/// The system's name servers.
fn servers() -> io::Result<Vec<SocketAddr>> {
    let text = fs::read(SYSTEM).map_err(|error| trouble(format_args!("{SYSTEM}: {error}")))?;
    let config = Config::parse(text).map_err(|error| trouble(format_args!("{SYSTEM}: {error}")))?;
    let servers = config.nameservers.iter().map(IpAddr::from);
    let servers: Vec<_> = servers.map(|ip| SocketAddr::new(ip, 53)).collect();
    match servers.is_empty() {
        true => Err(trouble(format_args!("{SYSTEM} names no name server"))),
        false => Ok(servers),
    }
}

/// The addresses of all that this service's records name, the most preferred first.
fn find(servers: &[SocketAddr], service: &str) -> io::Result<Vec<SocketAddr>> {
    let records = ask(servers, service)?;
    let (mut addrs, mut failed) = (Vec::new(), None);
    let end = Instant::now() + HOSTS_PATIENCE;
    for found in records.chunks(AT_ONCE).flat_map(|some| look_up(some, end)) {
        match found {
            Ok(found) => addrs.extend(found),
            Err(error) => failed = Some(error),
        }
    }
    // One that is found is enough.
    match failed {
        Some(error) if addrs.is_empty() => Err(error),
        _ => Ok(addrs),
    }
}

/// The addresses of these hosts, in their order, asked for side by side: one whose name server hangs holds up no other.
fn look_up(hosts: &[(String, u16)], end: Instant) -> Vec<io::Result<Vec<SocketAddr>>> {
    let of = |(host, port): &(String, u16)| {
        if Instant::now() >= end {
            return Err(trouble(format_args!(
                "{host}: those before it took too long"
            )));
        }
        let found = (host.as_str(), *port).to_socket_addrs();
        let found = found.map(Vec::from_iter);
        found.map_err(|error| trouble(format_args!("{host}: {error}")))
    };
    thread::scope(|scope| {
        let asks = hosts.iter().map(|host| {
            let named = thread::Builder::new().name("resolver".into());
            named.spawn_scoped(scope, move || of(host))
        });
        let asked: Vec<_> = asks.collect();
        let failed = |_| Err(trouble("the lookup ended by itself"));
        let ends = asked
            .into_iter()
            .map(|it| it?.join().unwrap_or_else(failed));
        ends.collect()
    })
}

/// What the first server that answers has.
fn ask(servers: &[SocketAddr], service: &str) -> io::Result<Vec<(String, u16)>> {
    let mut failed = None;
    for server in servers.iter().cycle().take(servers.len() * TRIES) {
        match ask_one(*server, service) {
            Ok(answer) => return read(&answer, service),
            Err(error) => failed = Some(trouble(format_args!("name server {server}: {error}"))),
        }
    }
    Err(failed.unwrap_or_else(|| trouble("no name server")))
}

/// The answer of this server, as it came.
fn ask_one(server: SocketAddr, service: &str) -> io::Result<Vec<u8>> {
    let number = rand::random();
    let question = question(number, service)?;
    let any: IpAddr = match server {
        SocketAddr::V4(_) => [0; 4].into(),
        SocketAddr::V6(_) => [0; 16].into(),
    };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(server)?;
    socket.send(&question)?;
    let mut answer = vec![0; DATAGRAM];
    let end = Instant::now() + PATIENCE;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        socket.set_read_timeout(Some(left))?;
        let length = socket.recv(&mut answer)?;
        let bytes = answer.get(..length).unwrap_or_default();
        match Packet::parse(bytes) {
            Ok(packet) if !answers(&packet, number, service) => {}
            Ok(packet) if packet.has_flags(PacketFlag::TRUNCATION) => {
                let answer = ask_at_length(server, &question)?;
                let packet = Packet::parse(&answer).map_err(trouble)?;
                return match answers(&packet, number, service) {
                    true => Ok(answer),
                    false => Err(trouble("it answered another question")),
                };
            }
            Ok(_) => return Ok(bytes.to_vec()),
            // Nobody else could have sent it: the socket is connected.
            Err(error) => return Err(trouble(error)),
        }
    }
}

/// The same over TCP, where an answer may be longer.
fn ask_at_length(server: SocketAddr, question: &[u8]) -> io::Result<Vec<u8>> {
    let end = Instant::now() + PATIENCE;
    let mut stream = TcpStream::connect_timeout(&server, PATIENCE)?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let length = (question.len() as u16).to_be_bytes();
    stream.write_all(&[&length, question].concat())?;
    let mut length = [0; 2];
    read_by(end, &mut stream, &mut length)?;
    let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
    read_by(end, &mut stream, &mut answer)?;
    Ok(answer)
}

/// All of it, until then: a server that sends a byte now and then is none that answers.
fn read_by(end: Instant, stream: &mut TcpStream, mut to: &mut [u8]) -> io::Result<()> {
    while !to.is_empty() {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(to)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => to = to.get_mut(count..).unwrap_or_default(),
        }
    }
    Ok(())
}

fn question(number: u16, service: &str) -> io::Result<Vec<u8>> {
    let name = Name::new(service).map_err(trouble)?;
    let mut packet = Packet::new_query(number);
    packet.set_flags(PacketFlag::RECURSION_DESIRED);
    let (kind, class) = (TYPE::SRV.into(), CLASS::IN.into());
    packet
        .questions
        .push(Question::new(name, kind, class, false));
    packet.build_bytes_vec().map_err(trouble)
}

/// Whether it answers the question of that number, for that service.
fn answers(packet: &Packet<'_>, number: u16, service: &str) -> bool {
    let is_asked = |question: &Question<'_>| {
        is_name(&question.qname.to_string(), service) && question.qtype == TYPE::SRV.into()
    };
    packet.id() == number
        && packet.has_flags(PacketFlag::RESPONSE)
        && packet.questions.iter().all(is_asked)
}

/// Letters of either case are the same (RFC 4343).
fn is_name(one: &str, other: &str) -> bool {
    let bare = |name: &str| name.trim_end_matches('.').to_ascii_lowercase();
    bare(one) == bare(other)
}

/// The names that an answer has the service under: its own, and those that its aliases lead to.
fn names(packet: &Packet<'_>, service: &str) -> Vec<String> {
    let mut names = vec![service.to_owned()];
    // An alias stands before what it leads to.
    for record in &packet.answers {
        if let RData::CNAME(alias) = &record.rdata
            && names
                .iter()
                .any(|name| is_name(name, &record.name.to_string()))
        {
            names.push(alias.0.to_string());
        }
    }
    names
}

/// The hosts and ports that an answer names, the most preferred first.
fn read(answer: &[u8], service: &str) -> io::Result<Vec<(String, u16)>> {
    let packet = Packet::parse(answer).map_err(trouble)?;
    match packet.rcode() {
        RCODE::NoError => {}
        RCODE::NameError => return Err(trouble(format_args!("{service} does not exist"))),
        code => return Err(trouble(format_args!("the name server answered {code:?}"))),
    }
    let names = names(&packet, service);
    let is_its = |record: &&ResourceRecord<'_>| {
        let owner = record.name.to_string();
        record.class == CLASS::IN && names.iter().any(|name| is_name(name, &owner))
    };
    let mut found: Vec<_> = packet
        .answers
        .iter()
        .filter(is_its)
        .filter_map(|record| match &record.rdata {
            RData::SRV(srv) => Some((srv.priority, srv.target.to_string(), srv.port)),
            _ => None,
        })
        .collect();
    // A target that is the root says that there is no such service here.
    found.retain(|(_, host, port)| !host.is_empty() && host != "." && *port != 0);
    found.sort();
    found.truncate(MOST_RECORDS);
    if found.is_empty() {
        return Err(trouble(format_args!("{service} has no SRV record")));
    }
    let places = found.into_iter().map(|(_, host, port)| (host, port));
    Ok(places.collect())
}

fn trouble(what: impl ToString) -> io::Error {
    io::Error::other(what.to_string())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use simple_dns::rdata::{CNAME, SRV};

    use super::*;

    const SERVICE: &str = "_butterfly._udp.example";

    fn srv(priority: u16, port: u16, target: &'static str) -> RData<'static> {
        RData::SRV(SRV {
            priority,
            weight: 0,
            port,
            target: Name::new_unchecked(target),
        })
    }

    /// The answer to a question, with these records.
    fn answer(question: &[u8], records: Vec<RData<'static>>) -> Packet<'static> {
        let asked = Packet::parse(question).unwrap();
        assert_eq!(asked.questions[0].qname.to_string(), SERVICE);
        let mut packet = Packet::new_reply(asked.id());
        for record in records {
            let name = Name::new_unchecked(SERVICE);
            let record = ResourceRecord::new(name, CLASS::IN, 60, record);
            packet.answers.push(record);
        }
        packet
    }

    /// A name server on loopback that says this to each of so many questions, and first something that is no answer to it.
    fn server(
        questions: usize,
        say: impl Fn(&[u8]) -> Packet<'static> + Send + 'static,
    ) -> SocketAddr {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let addr = socket.local_addr().unwrap();
        thread::spawn(move || {
            for _ in 0..questions {
                let mut buffer = [0; 512];
                let (length, from) = socket.recv_from(&mut buffer).unwrap();
                let question = &buffer[..length];
                let other = Packet::new_reply(Packet::parse(question).unwrap().id() ^ 1);
                for packet in [other, say(question)] {
                    let bytes = packet.build_bytes_vec().unwrap();
                    socket.send_to(&bytes, from).unwrap();
                }
            }
        });
        addr
    }

    #[test]
    fn the_records_name_the_seeds_the_preferred_ones_first() {
        let server = server(1, |question| {
            let records = vec![
                srv(20, 9639, "127.0.0.2"),
                srv(10, 9638, "127.0.0.1"),
                srv(30, 0, "127.0.0.3"),
            ];
            answer(question, records)
        });
        let addrs = find(&[server], SERVICE).unwrap();
        let expected = ["127.0.0.1:9638", "127.0.0.2:9639"].map(|it| it.parse().unwrap());
        assert_eq!(addrs, expected);
    }

    #[test]
    fn records_of_other_names_are_not_heeded_and_those_behind_an_alias_are() {
        let server = server(1, |question| {
            let mut packet = answer(question, vec![]);
            let mut add = |name: &'static str, class, data| {
                let name = Name::new_unchecked(name);
                packet
                    .answers
                    .push(ResourceRecord::new(name, class, 60, data));
            };
            let alias = CNAME(Name::new_unchecked("_butterfly._udp.elsewhere"));
            add("_Butterfly._UDP.example", CLASS::IN, RData::CNAME(alias));
            add(
                "_butterfly._udp.elsewhere",
                CLASS::IN,
                srv(1, 1, "127.0.0.1"),
            );
            add("_butterfly._udp.other", CLASS::IN, srv(1, 2, "127.0.0.1"));
            add(SERVICE, CLASS::CH, srv(1, 3, "127.0.0.1"));
            packet
        });
        let addrs = find(&[server], SERVICE).unwrap();
        assert_eq!(addrs, ["127.0.0.1:1".parse().unwrap()]);
    }

    #[test]
    fn what_is_not_there_is_said() {
        let cases: [(RCODE, Vec<RData<'static>>, &str); 4] = [
            (RCODE::NameError, vec![], "does not exist"),
            (RCODE::ServerFailure, vec![], "ServerFailure"),
            (RCODE::NoError, vec![], "has no SRV record"),
            (RCODE::NoError, vec![srv(0, 1, ".")], "has no SRV record"),
        ];
        for (code, records, why) in cases {
            let server = server(1, move |question| {
                let mut packet = answer(question, records.clone());
                *packet.rcode_mut() = code;
                packet
            });
            let error = find(&[server], SERVICE).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn a_server_that_is_not_there_leaves_it_to_the_next() {
        let gone = UdpSocket::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let there = server(1, |question| answer(question, vec![srv(1, 9638, "::1")]));
        let addrs = find(&[gone, there], SERVICE).unwrap();
        assert_eq!(addrs, ["[::1]:9638".parse().unwrap()]);
        let error = find(&[gone], SERVICE).unwrap_err().to_string();
        assert!(error.contains(&gone.to_string()), "{error}");
    }

    #[test]
    fn a_long_answer_comes_over_tcp() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let socket = UdpSocket::bind(addr).unwrap();
        thread::spawn(move || {
            let mut buffer = [0; 512];
            let (length, from) = socket.recv_from(&mut buffer).unwrap();
            let mut short = answer(&buffer[..length], Vec::new());
            short.set_flags(PacketFlag::TRUNCATION);
            socket
                .send_to(&short.build_bytes_vec().unwrap(), from)
                .unwrap();
            let (mut stream, _) = listener.accept().unwrap();
            let mut length = [0; 2];
            stream.read_exact(&mut length).unwrap();
            let mut question = vec![0; usize::from(u16::from_be_bytes(length))];
            stream.read_exact(&mut question).unwrap();
            let records = (1..=300).map(|port| srv(port, port, "127.0.0.1")).collect();
            let bytes = answer(&question, records).build_bytes_vec().unwrap();
            let length = (bytes.len() as u16).to_be_bytes();
            stream.write_all(&[&length, &bytes[..]].concat()).unwrap();
        });
        assert_eq!(find(&[addr], SERVICE).unwrap().len(), MOST_RECORDS);
    }
}
