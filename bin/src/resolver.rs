//! Looks up the addresses of host names, each on a thread of its own that ends with the answer: a slow or silent
//! name server delays neither the loop nor the other names.

use std::collections::HashSet;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use butterfly::SeedId;
use mio::Waker;

/// Bytes of a thread's stack: what the system's resolver and its modules take, and room.
const STACK: usize = 512 << 10;

/// Looks a name up; may take as long as it likes.
type Lookup = fn(&str) -> io::Result<Vec<SocketAddr>>;

/// What became of a lookup.
pub type Answer = (SeedId, io::Result<Vec<SocketAddr>>);

/// Lookups under way, one a seed at most.
pub struct Resolver {
    lookup: Lookup,
    waker: Arc<Waker>,
    pending: HashSet<SeedId>,
    answer: Sender<Answer>,
    answers: Receiver<Answer>,
}

impl Resolver {
    /// Asks the system. Wakes the loop when there is an answer to take.
    pub fn new(waker: Arc<Waker>) -> Self {
        Resolver::with(waker, |name| name.to_socket_addrs().map(Iterator::collect))
    }

    fn with(waker: Arc<Waker>, lookup: Lookup) -> Self {
        let (answer, answers) = channel();
        Resolver {
            lookup,
            waker,
            pending: HashSet::new(),
            answer,
            answers,
        }
    }

    /// Looks up `HOST:PORT` for this seed, unless it is being looked up already.
    pub fn ask(&mut self, seed: SeedId, name: &str) {
        if !self.pending.insert(seed) {
            return;
        }
        let (lookup, name) = (self.lookup, name.to_owned());
        let (answer, waker) = (self.answer.clone(), Arc::clone(&self.waker));
        let started = thread::Builder::new()
            .name("resolver".into())
            .stack_size(STACK)
            .spawn(move || tell(&answer, &waker, seed, lookup(&name)));
        if let Err(error) = started {
            tell(&self.answer, &self.waker, seed, Err(error));
        }
    }

    /// The next answer.
    pub fn answer(&mut self) -> Option<Answer> {
        let answer = self.answers.try_recv().ok()?;
        self.pending.remove(&answer.0);
        Some(answer)
    }
}

fn tell(answer: &Sender<Answer>, waker: &Waker, seed: SeedId, addrs: io::Result<Vec<SocketAddr>>) {
    // If either fails, the loop is gone, and nobody wants to know.
    if answer.send((seed, addrs)).is_ok() {
        let _ = waker.wake();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Condvar, Mutex};
    use std::time::Duration;

    use butterfly::{MemberId, Node, Time, config::NodeConfig};
    use mio::{Events, Poll, Token};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    /// Whether the name server has woken up.
    static AWAKE: (Mutex<bool>, Condvar) = (Mutex::new(false), Condvar::new());

    fn lookup(name: &str) -> io::Result<Vec<SocketAddr>> {
        if name == "slow" {
            let awake = AWAKE.0.lock().unwrap();
            drop(AWAKE.1.wait_while(awake, |awake| !*awake).unwrap());
        }
        Ok(vec!["127.0.0.1:1".parse().unwrap()])
    }

    #[test]
    fn a_name_server_that_hangs_for_one_name_delays_no_other() {
        let mut poll = Poll::new().unwrap();
        let waker = Arc::new(Waker::new(poll.registry(), Token(0)).unwrap());
        let mut resolver = Resolver::with(waker, lookup);
        let mut node = Node::new(
            NodeConfig::new(MemberId::from_bytes([1; 16]), 1, [0; 32]),
            Time::ZERO,
        );
        let mut seed = || node.join_named(Time::ZERO).unwrap();
        let (slow, quick) = (seed(), seed());
        let mut next = |resolver: &mut Resolver| {
            let mut events = Events::with_capacity(1);
            loop {
                if let Some((seed, addrs)) = resolver.answer() {
                    return (seed, addrs.unwrap().len());
                }
                poll.poll(&mut events, Some(PATIENCE)).unwrap();
                assert!(!events.is_empty(), "no answer");
            }
        };
        // Asked again and again, it takes one thread.
        for _ in 0..100 {
            resolver.ask(slow, "slow");
        }
        resolver.ask(quick, "quick");
        assert_eq!(next(&mut resolver), (quick, 1));
        resolver.ask(quick, "quick");
        assert_eq!(next(&mut resolver), (quick, 1));
        *AWAKE.0.lock().unwrap() = true;
        AWAKE.1.notify_all();
        assert_eq!(next(&mut resolver), (slow, 1));
        assert!(resolver.answer().is_none() && resolver.pending.is_empty());
    }
}
