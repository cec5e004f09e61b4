//! A member of a ring on a thread of its own, for programs without an event loop: commands go to it through its
//! handle, and its events and its answers come back over channels.
//!
//! `cargo run --example embed_threaded`

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::sync::mpsc::{self, Receiver};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use butterfly::{Butterfly, Config, Event, Handle, Health, MemberId, Timing};

/// All of this takes half a second; on a machine that is busy, more.
const PATIENCE: Duration = Duration::from_secs(30);

/// A member on a thread of its own.
struct Member {
    id: MemberId,
    addr: SocketAddr,
    handle: Handle,
    events: Receiver<Event>,
    thread: JoinHandle<io::Result<()>>,
}

impl Member {
    fn start(name: &str) -> Result<Self, Box<dyn Error>> {
        let mut config = Config::new("127.0.0.1:0".parse()?);
        config.name = name.to_owned();
        config.timing = Timing::local(); // for one machine; the default is Timing::lan()
        let mut butterfly = Butterfly::bind(config)?;
        let (id, addr, handle) = (
            butterfly.node().id(),
            butterfly.local_addr(),
            butterfly.handle()?,
        );
        let (told, events) = mpsc::channel();
        let thread = thread::spawn(move || {
            butterfly.run(|_, event| {
                // Gone, or told to depart for good: either way nobody answers it any more.
                let done = matches!(event, Event::Left | Event::Expelled);
                // Who listens no more does not want the member either.
                if told.send(event).is_err() || done {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            })
        });
        Ok(Member {
            id,
            addr,
            handle,
            events,
            thread,
        })
    }

    /// Has something done on the member's thread, and waits for what comes of it.
    fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut Butterfly) -> T + Send + 'static,
    ) -> Result<T, Box<dyn Error>> {
        let (answer, answers) = mpsc::channel();
        self.handle.send(move |member| {
            // Nobody may wait any more.
            let _ = answer.send(question(member));
        })?;
        Ok(answers.recv_timeout(PATIENCE)?)
    }

    /// Waits until the member holds another for this.
    fn await_health(&self, of: MemberId, health: Health) -> Result<(), Box<dyn Error>> {
        loop {
            let event = self.events.recv_timeout(PATIENCE)?;
            println!("{}: {event:?}", self.id);
            if matches!(event, Event::MemberChanged { id, to, .. } if id == of && to == health) {
                return Ok(());
            }
        }
    }

    /// Waits until its thread ends.
    fn join(self) -> Result<(), Box<dyn Error>> {
        let ended = self.thread.join();
        ended.map_err(|_| "the member's thread panicked")??;
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let (one, other) = (Member::start("one")?, Member::start("other")?);

    // A command that may be refused says so.
    let seed = one.addr;
    other.ask(move |member| member.join(seed))??;
    one.await_health(other.id, Health::Alive)?;
    other.await_health(one.id, Health::Alive)?;
    let own = one.id;
    let refused = one.ask(move |member| member.block(own))?;
    println!("refused: {}", refused.unwrap_err());

    // What the member knows comes back as what its thread makes of it.
    let names = one.ask(|member| {
        let node = member.node();
        let names = node.members().map(|view| view.name.to_owned());
        names.collect::<Vec<_>>()
    })?;
    println!("{} knows {names:?}", one.id);
    assert_eq!(names.len(), 2);

    // One that goes tells the others, and its run ends when that is done. The other just stops.
    other.handle.send(Butterfly::leave)?;
    one.await_health(other.id, Health::Departed)?;
    other.join()?;
    one.handle.stop()?;
    one.join()
}

#[test]
fn it_runs() {
    main().unwrap();
}
