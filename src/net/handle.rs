//! Commands from other threads: a queue and a waker, no lock.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::Sender;

use mio::Waker;

use super::Butterfly;

/// What another thread wants done.
pub(super) type Command = Box<dyn FnOnce(&mut Butterfly) + Send>;

/// Reaches a [`Butterfly`] from other threads. Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    pub(super) commands: Sender<Command>,
    pub(super) waker: Arc<Waker>,
}

impl Handle {
    /// Has this done soon, by the next [`process`](Butterfly::process) and on the thread of its loop, which it
    /// wakes. Commands are carried out in the order of their sending; one that the Butterfly is dropped before
    /// is dropped too. An answer comes back as the caller likes, over a channel for one:
    ///
    /// ```
    /// # use butterfly::{Butterfly, Config};
    /// # use std::sync::mpsc;
    /// # use std::thread;
    /// # let mut member = Butterfly::bind(Config::new("127.0.0.1:0".parse()?))?;
    /// let handle = member.handle()?;
    /// let loop_of_its_own = thread::spawn(move || member.run(|_, _| std::ops::ControlFlow::Continue(())));
    ///
    /// let (answer, answers) = mpsc::channel();
    /// handle.send(move |member| _ = answer.send(member.node().counts()))?;
    /// assert_eq!(answers.recv()?.alive, 1);
    ///
    /// handle.stop()?;
    /// # loop_of_its_own.join().unwrap()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// `BrokenPipe`: the Butterfly is gone; otherwise what the system says about waking the loop.
    pub fn send(&self, command: impl FnOnce(&mut Butterfly) + Send + 'static) -> io::Result<()> {
        self.commands
            .send(Box::new(command))
            .map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        self.waker.wake()
    }

    /// As [`Butterfly::stop`]: ends [`run`](Butterfly::run), without leaving the ring.
    ///
    /// # Errors
    /// As [`send`](Handle::send).
    pub fn stop(&self) -> io::Result<()> {
        self.send(Butterfly::stop)
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").finish_non_exhaustive()
    }
}
