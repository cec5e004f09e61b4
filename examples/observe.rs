//! Follows a ring's events and keeps a directory of who runs which service, up to date as services come, change
//! and are withdrawn, and as their members die.
//!
//! `cargo run --example observe`

use std::collections::BTreeMap;
use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use butterfly::{
    Butterfly, Config, Event, Handle, Health, Node, Rumor, RumorId, RumorKind, Service,
    ServiceGroup, Timing,
};

/// All of this takes two seconds; on a machine that is busy, more.
const PATIENCE: Duration = Duration::from_secs(30);

/// Who runs which service: by the ids of the rumors that say so, which sort by group and member.
#[derive(Debug, Default, PartialEq)]
struct Directory(BTreeMap<RumorId, Instance>);

#[derive(Debug, PartialEq)]
struct Instance {
    service: Service,
    /// How its member fares; `None`: nobody has heard of that yet.
    health: Option<Health>,
}

impl Directory {
    /// What is known now. Begin with it, and do so again if `node.stats().events_lost` has grown.
    fn look(node: &Node) -> Self {
        let mut directory = Directory::default();
        for view in node.rumors_of(RumorKind::Service) {
            directory.look_up(node, view.id);
        }
        directory
    }

    /// Takes an event in. It says what changed; what is true now, the node says.
    fn follow(&mut self, node: &Node, event: &Event) {
        match event {
            Event::RumorChanged { id, .. } | Event::RumorGone(id)
                if id.kind == RumorKind::Service =>
            {
                self.look_up(node, id);
            }
            Event::MemberChanged { id, to, .. } => {
                let its = self.0.values_mut();
                its.filter(|instance| instance.service.member == *id)
                    .for_each(|instance| instance.health = Some(*to));
            }
            _ => {}
        }
    }

    fn look_up(&mut self, node: &Node, id: &RumorId) {
        match node.rumor(id).and_then(|view| view.rumor()) {
            Some(Rumor::Service(service)) if !service.is_withdrawn() => {
                let health = node.health_of(service.member);
                let instance = Instance { service, health };
                self.0.insert(id.clone(), instance);
            }
            _ => _ = self.0.remove(id),
        }
    }

    /// The instances of a group that can be used: a suspect may well be there still.
    fn usable(&self, group: &ServiceGroup) -> impl Iterator<Item = &Service> {
        let usable = |health| matches!(health, Some(Health::Alive | Health::Suspect));
        self.0
            .values()
            .filter(move |instance| instance.service.group == *group && usable(instance.health))
            .map(|instance| &instance.service)
    }

    fn print(&self, at: Duration) {
        println!("after {at:?}:");
        for Instance { service, health } in self.0.values() {
            let health = health.map_or("unknown", Health::as_str);
            let Service { group, member, .. } = service;
            println!(
                "  {group}  {member}  {health:9}  {}  {}",
                service.sys.ip, service.pkg
            );
        }
    }
}

/// A member that runs a service, on a thread of its own.
struct Server {
    handle: Handle,
    thread: JoinHandle<io::Result<()>>,
}

impl Server {
    fn start(seed: SocketAddr, service: Service) -> Result<Self, Box<dyn Error>> {
        let mut member = bind()?;
        member.join(seed)?;
        member.announce(service)?;
        let handle = member.handle()?;
        let thread = thread::spawn(move || member.run(|_, _| ControlFlow::Continue(())));
        Ok(Server { handle, thread })
    }

    /// Ends without a word, as a crash would.
    fn crash(self) -> Result<(), Box<dyn Error>> {
        self.handle.stop()?;
        self.thread.join().map_err(|_| "the server panicked")??;
        Ok(())
    }
}

fn bind() -> Result<Butterfly, Box<dyn Error>> {
    let mut config = Config::new("127.0.0.1:0".parse()?);
    config.timing = Timing::local(); // for one machine; the default is Timing::lan()
    Ok(Butterfly::bind(config)?)
}

/// Follows events until the directory is as it should be.
fn follow_until(
    member: &mut Butterfly,
    directory: &mut Directory,
    is_there: impl Fn(&Directory) -> bool,
) -> Result<(), Box<dyn Error>> {
    let began = Instant::now();
    member.run(|member, event| {
        directory.follow(member.node(), &event);
        if is_there(directory) {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    })?;
    if member.is_stopped() {
        return Err(format!("not there in time: {directory:#?}").into());
    }
    directory.print(began.elapsed());
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut observer = bind()?;
    let mut directory = Directory::look(observer.node());
    let seed = observer.local_addr();
    let watchdog = observer.handle()?;
    thread::spawn(move || {
        thread::sleep(PATIENCE);
        // Mostly, all is over by then.
        let _ = watchdog.stop();
    });

    let group: ServiceGroup = "redis.default".parse()?;
    let service = |release: &str| {
        let mut service = Service::new(group.clone(), format!("acme/redis/{release}"));
        service.sys.ip = "127.0.0.1".to_owned();
        service
    };
    let count = |directory: &Directory| directory.usable(&group).count();

    // Services come,
    let one = Server::start(seed, service("7.2.1/20260101000000"))?;
    let other = Server::start(seed, service("7.2.1/20260101000000"))?;
    follow_until(&mut observer, &mut directory, |now| count(now) == 2)?;

    // one changes,
    let newer = service("7.2.2/20260201000000");
    one.handle
        .send(move |member| member.announce(newer).unwrap())?;
    follow_until(&mut observer, &mut directory, |now| {
        now.usable(&group)
            .any(|service| service.pkg.contains("7.2.2"))
    })?;

    // one is withdrawn,
    let its = group.clone();
    other
        .handle
        .send(move |member| assert!(member.withdraw(&its).unwrap()))?;
    follow_until(&mut observer, &mut directory, |now| count(now) == 1)?;
    assert_eq!(directory.0.len(), 1);

    // and the member of the last one dies: it stays in the directory, but cannot be used.
    one.crash()?;
    follow_until(&mut observer, &mut directory, |now| count(now) == 0)?;
    assert_eq!(directory.0.len(), 1);

    // Following came to what looking comes to.
    assert_eq!(directory, Directory::look(observer.node()));
    other.crash()
}

#[test]
fn it_runs() {
    main().unwrap();
}
