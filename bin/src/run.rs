//! `butterfly run`: one member, its gateway and signals, in one loop on one thread.

use std::error::Error;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use butterfly::{BindError, Butterfly, DiskError, MemberId};
use log::warn;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM};
use signal_hook_mio::v1_0::Signals;

use crate::address::Place;
use crate::agent::Agent;
use crate::cli::RunArgs;
use crate::descriptors;
use crate::failure::Failure;
use crate::gateway::{Gateway, Guard};
use crate::handlers::{Handlers, Hook, Owner};
use crate::logging::{self, Log, LogFormat};
use crate::output;
use crate::peer_file::PeerFile;
use crate::plan::{self, Plan};
use crate::reread::Reread;
use crate::seeds::Seeds;
use crate::service_manager::ServiceManager;
use crate::settings::Settings;
use crate::srv::Resolver;
use crate::sys_info;

const SWIM: Token = Token(0);
const SIGNALS: Token = Token(1);
const REREAD: Token = Token(2);
/// The gateway's tokens begin here.
const GATEWAY: Token = Token(3);
/// Those of the listener for metrics.
const METRICS: Token = Token(GATEWAY.0 + Gateway::TOKENS);
/// Those of the commands that run when something happens.
const HANDLERS: Token = Token(METRICS.0 + Gateway::TOKENS);

/// How long it may take at the end to tell others what they are still to be told.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// How long the disk may take at the end before the log says what is waited for; and after a second signal, before it
/// ends without.
const DISK_PATIENCE: Duration = Duration::from_secs(1);
/// A second signal to leave within this time is no second wish: `timeout` and terminals signal the process
/// and its group.
const ECHO: Duration = Duration::from_millis(500);

pub fn run(settings: Settings) -> Result<(), Failure> {
    if settings.args.print_config {
        output::print(&settings.print(|name| plan::default(name, &settings.args)))?;
        return Plan::of(&settings).map(drop);
    }
    let args = settings.args.clone();
    let format = args.log_format.unwrap_or_else(LogFormat::of_stderr);
    let log = logging::start(args.log_level(), format).map_err(no_loop)?;
    for warning in &settings.warnings {
        warn!("{warning}");
    }
    descriptors::raise_limit();
    let ended = Program::start(settings, &log).and_then(|mut program| {
        program.agent.introduce();
        sys_info::renew(&mut program.agent);
        program.announce(&args)?;
        program.service_manager.ready(Instant::now());
        program.turn_until_left()
    });
    log.finish(ended)
}

struct Program {
    poll: Poll,
    service_manager: ServiceManager,
    signals: Signals,
    agent: Agent,
    /// Its listeners: the gateway's, and the one for metrics.
    gateways: Vec<Gateway>,
    /// When the first signal to leave came.
    told_to_leave: Option<Instant>,
    /// Since when the disk has what is to be stored last.
    finishing: Option<Instant>,
    /// The log says that it is waited for.
    is_told_of_disk: bool,
    /// What is to be done should it be told to depart for good.
    way_back: String,
}

impl Program {
    fn start(settings: Settings, log: &Log) -> Result<Self, Failure> {
        let poll = Poll::new().map_err(no_loop)?;
        let plan = Plan::of(&settings)?;
        let keys = plan.config.ring_keys.clone();
        let gateway = gateway(plan.gateway, &settings, &poll)?;
        let metrics = metrics(plan.metrics, &poll)?;
        let way_back = way_back(&settings.args);
        let tags = settings.args.tag.clone();

        let signals = signals(&poll).map_err(no_loop)?;
        let waker = Waker::new(poll.registry(), REREAD).map_err(no_loop)?;
        let waker = Arc::new(waker);
        let seeds = Seeds::default();
        let peer_file = settings.args.peer_file.clone();
        let reread = Reread::new(settings, Arc::clone(&waker));
        let mut member = Butterfly::bind(plan.config).map_err(|error| match error {
            BindError::Departed { id } => expelled(id, &way_back),
            error if !no_descriptor(&error).is_empty() => {
                Failure::failed(format_args!("{error}{}", no_descriptor(&error)))
            }
            BindError::Gossip { .. } => Failure::failed(format_args!(
                "{error} (--gossip-port PORT, 0 takes a free one)"
            )),
            error => Failure::failed(error),
        })?;
        member.set_resolver(Resolver::new());
        let fd = member.as_raw_fd();
        poll.registry()
            .register(&mut SourceFd(&fd), SWIM, Interest::READABLE)
            .map_err(no_loop)?;

        let me = member.node().me();
        logging::belongs_to(&me.member.id.to_string(), me.name);
        let mut agent = Agent::new(member, seeds, reread, &keys, log.clone());
        agent.gateway = gateway.as_ref().map(|it| it.place().clone());
        agent.metrics = metrics.as_ref().map(|it| it.place().clone());
        agent.handlers = handlers(&agent, plan.hooks);
        agent.begin_keys()?;
        agent.begin_tags(&tags)?;
        for peer in &plan.peers {
            if let Some(why) = agent.unreachable(peer) {
                warn!("{why}");
            }
            agent.join(peer).map_err(Failure::failed)?;
        }
        let watch = |path: PathBuf| PeerFile::watch(&path, waker);
        agent.peer_file = peer_file.map(watch).transpose().map_err(no_loop)?;
        Ok(Program {
            poll,
            service_manager: ServiceManager::of_process(),
            signals,
            agent,
            gateways: gateway.into_iter().chain(metrics).collect(),
            told_to_leave: None,
            finishing: None,
            is_told_of_disk: false,
            way_back,
        })
    }

    /// The chosen addresses, on standard output for scripts to read.
    fn announce(&self, args: &RunArgs) -> Result<(), Failure> {
        let mut lines = format!("swim {}\n", self.agent.member.local_addr());
        if let Some(gateway) = &self.agent.gateway {
            lines += &format!("http {gateway}\n");
        }
        if args.gossip_port.is_some() {
            let ip = self.agent.member.local_addr().ip();
            let port = self.agent.member.node().me().member.gossip_port;
            lines += &format!("gossip {}\n", SocketAddr::new(ip, port));
        }
        if let Some(metrics) = &self.agent.metrics {
            lines += &format!("metrics {metrics}\n");
        }
        // Whoever reads them may stall.
        let print = move || {
            if let Err(failure) = output::print(&lines) {
                warn!("nobody reads the addresses: {failure}");
            }
        };
        let printer = thread::Builder::new().name("addresses".into());
        printer.spawn(print).map_err(no_loop)?;
        Ok(())
    }

    fn turn_until_left(&mut self) -> Result<(), Failure> {
        let mut events = Events::with_capacity(128);
        let mut end = None;
        loop {
            match self.poll.poll(&mut events, self.timeout(end)) {
                Err(error) if error.kind() != ErrorKind::Interrupted => return Err(no_loop(error)),
                _ => self.turn(&events)?,
            }
            if self.agent.has_left() || self.agent.is_expelled() {
                let end = *end.get_or_insert_with(|| Instant::now() + LAST_WORDS);
                if (!self.has_last_words() || Instant::now() >= end)
                    && let Some(stored) = self.finish()
                {
                    return self.outcome(stored);
                }
            }
        }
    }

    /// Has the disk take what is to be stored last; `None`: that takes its time.
    fn finish(&mut self) -> Option<Result<(), DiskError>> {
        let now = Instant::now();
        self.agent.finish();
        let stored = self.agent.member.stored(Duration::ZERO);
        let since = *self.finishing.get_or_insert(now);
        if stored.is_none() && !self.is_told_of_disk && now >= since + DISK_PATIENCE {
            self.is_told_of_disk = true;
            warn!(
                "waiting for the disk, which has not taken the last snapshot yet: a second signal ends without it"
            );
        }
        stored
    }

    /// Whether others are still to be told something before the end.
    fn has_last_words(&self) -> bool {
        let unsent = self.gateways.iter().any(Gateway::has_unsent);
        // That it is gone for good may have been said to this member alone.
        let departing = self.agent.is_expelled() && self.agent.member.node().hot_rumors() > 0;
        unsent || departing || self.agent.handlers.is_busy()
    }

    /// How it ended.
    fn outcome(&self, stored: Result<(), DiskError>) -> Result<(), Failure> {
        if !self.agent.is_expelled() {
            return stored.map_err(not_stored);
        }
        let id = self.agent.member.node().me().member.id;
        Err(expelled(id, &self.way_back))
    }

    /// What one wake brings: the member always first, then the rest, each in small portions.
    fn turn(&mut self, events: &Events) -> Result<(), Failure> {
        let woken = |token| events.iter().any(|event| event.token() == token);
        self.agent.process(woken(SWIM)).map_err(|error| {
            Failure::failed(format_args!("the member's socket failed: {error}"))
        })?;
        let (node, now) = (self.agent.member.node(), Instant::now());
        self.service_manager.turn(now, || {
            let counts = node.counts();
            format!(
                "sees {} members alive, {} suspect",
                counts.alive, counts.suspect
            )
        });
        if woken(SIGNALS) {
            self.take_signals()?;
        }
        if woken(REREAD) {
            self.agent.reloaded();
            self.agent.take_peers();
        }
        for event in events.iter().filter(|event| event.token() >= HANDLERS) {
            self.agent.handlers.woken(event.token());
        }
        let registry = self.poll.registry();
        self.agent.handlers.turn(registry, Instant::now());
        self.agent.answer_for_commands();
        self.agent.answer_for_keys();
        for gateway in &mut self.gateways {
            for event in events.iter().filter(|event| event.token() >= GATEWAY) {
                gateway.woken(event.token());
            }
            gateway.turn(self.poll.registry(), &mut self.agent, Instant::now());
        }
        Ok(())
    }

    /// How long to sleep. (mio rounds up to whole milliseconds, so no deadline is met too early.)
    fn timeout(&self, end: Option<Instant>) -> Option<Duration> {
        // Once the disk has been given the last, it wakes the loop; until then it is asked at the end.
        let end = match self.finishing {
            Some(since) => Some(since + DISK_PATIENCE).filter(|_| !self.is_told_of_disk),
            None => end,
        };
        if self.gateways.iter().any(Gateway::has_work) || self.agent.handlers.has_work() {
            return Some(Duration::ZERO);
        }
        let gateways = self.gateways.iter().filter_map(Gateway::deadline);
        let others = [
            self.agent.deadline(),
            self.agent.handlers.deadline(),
            self.service_manager.deadline(),
            end,
        ];
        let others = others.into_iter().flatten();
        let next = gateways.chain(others).min()?;
        Some(next.saturating_duration_since(Instant::now()))
    }

    fn take_signals(&mut self) -> Result<(), Failure> {
        let signals: Vec<_> = self.signals.pending().collect();
        for signal in signals {
            match signal {
                SIGHUP => self.agent.reload(),
                SIGCHLD => self.agent.handlers.child_gone(),
                _ => self.take_signal_to_leave(Instant::now())?,
            }
        }
        Ok(())
    }

    fn take_signal_to_leave(&mut self, now: Instant) -> Result<(), Failure> {
        if is_echo(self.told_to_leave, now) {
            return Ok(());
        }
        if self.agent.is_leaving() {
            return Err(self.end_at_once());
        }
        self.told_to_leave = Some(now);
        self.service_manager.stopping();
        self.agent.leave();
        Ok(())
    }

    /// A second signal: the disk has a moment to take what it would lose, and nothing else is waited for.
    fn end_at_once(&mut self) -> Failure {
        let was_told = self.agent.has_left();
        self.agent.finish();
        let member = &mut self.agent.member;
        match member.stored(DISK_PATIENCE) {
            Some(Ok(())) if was_told => {
                Failure::failed("ended by a second signal, before all was said")
            }
            Some(Ok(())) => {
                Failure::failed("ended by a second signal, before all others were told")
            }
            Some(Err(error)) => not_stored(error),
            None => {
                member.abandon_disk();
                Failure::not_stored(
                    "ended by a second signal, before the disk had taken the last snapshot: it starts again with the one \
                     before",
                )
            }
        }
    }
}

fn handlers(agent: &Agent, hooks: Vec<Hook>) -> Handlers {
    let me = agent.member.node().me();
    let owner = Owner {
        id: me.member.id.to_string(),
        name: me.name.to_owned(),
        gateway: agent.gateway.as_ref().map(|gateway| gateway.to_string()),
    };
    Handlers::new(hooks, owner, HANDLERS)
}

/// What to do about it, if it is that the member may open no more files and sockets.
fn no_descriptor(error: &BindError) -> String {
    let reason = error.source().and_then(|it| it.downcast_ref::<io::Error>());
    reason.map_or(String::new(), descriptors::help)
}

/// The end of a member whose data directory lacks what it knew last.
fn not_stored(error: DiskError) -> Failure {
    Failure::not_stored(format_args!(
        "{error}; what this member knew last is lost, and it starts again with what it stored before"
    ))
}

/// Whether a signal to leave is but the first one again.
fn is_echo(first: Option<Instant>, now: Instant) -> bool {
    first.is_some_and(|first| now.saturating_duration_since(first) < ECHO)
}

/// The end of a member whose id cannot be used again.
fn expelled(id: MemberId, way_back: &str) -> Failure {
    Failure::expelled(format_args!(
        "member {id} departed for good, by a departure rumor, and no ring takes its id again: {way_back}"
    ))
}

/// How who started this member can start one under another id.
fn way_back(args: &RunArgs) -> String {
    match (&args.id, &args.data_dir) {
        (None, None) => "start it again, and it is a new member".to_owned(),
        (Some(_), None) => "give it another --id, or none".to_owned(),
        (None, Some(dir)) => format!("remove {} to start as a new member", dir.display()),
        (Some(_), Some(dir)) => {
            format!("remove {} and give it another --id, or none", dir.display())
        }
    }
}

/// The gateway, unless none is wanted, or the default port is somebody else's.
fn gateway(
    asked: Option<(Place, Guard)>,
    settings: &Settings,
    poll: &Poll,
) -> Result<Option<Gateway>, Failure> {
    let Some((place, guard)) = asked else {
        return Ok(None);
    };
    match Gateway::bind(poll.registry(), GATEWAY, &place, guard) {
        Ok(gateway) => Ok(Some(gateway)),
        Err(error) if error.kind() == ErrorKind::AddrInUse && settings.args.http.is_none() => {
            warn!(
                "no gateway: {place} is in use, so commands without --http, such as \"butterfly leave\", reach who \
                 listens there and not this member (--http 127.0.0.1:0 takes a free port)"
            );
            Ok(None)
        }
        Err(error) => Err(cannot_open(&place, &settings.called("http"), &error)),
    }
}

/// The listener for metrics and health alone, if it is wanted.
fn metrics(addr: Option<SocketAddr>, poll: &Poll) -> Result<Option<Gateway>, Failure> {
    let Some(addr) = addr else {
        return Ok(None);
    };
    let opened = Gateway::bind(poll.registry(), METRICS, &Place::At(addr), Guard::Public);
    opened.map(Some).map_err(|error| {
        Failure::failed(format_args!(
            "cannot open {addr} for metrics: {error} (--metrics IP:PORT for another)"
        ))
    })
}

fn cannot_open(place: &Place, called: &str, error: &io::Error) -> Failure {
    Failure::failed(format_args!(
        "cannot open the gateway on {place}, as {called} has it: {error} (--http IP:PORT for another, --http none for none)"
    ))
}

fn signals(poll: &Poll) -> io::Result<Signals> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP, SIGCHLD])?;
    poll.registry()
        .register(&mut signals, SIGNALS, Interest::READABLE)?;
    Ok(signals)
}

fn no_loop(error: io::Error) -> Failure {
    let help = descriptors::help(&error);
    Failure::failed(format_args!(
        "the system gives no event loop: {error}{help}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_later_signal_is_a_second_one() {
        let first = Instant::now();
        assert!(!is_echo(None, first));
        assert!(is_echo(Some(first), first + Duration::from_millis(499)));
        assert!(!is_echo(Some(first), first + Duration::from_millis(500)));
    }
}
