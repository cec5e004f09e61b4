//! A member in a tokio runtime.

use std::future::poll_fn;
use std::io;
use std::ops::{Deref, DerefMut};
use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use futures_core::Stream;
use tokio::io::unix::AsyncFd;
use tokio::sync::oneshot;
use tokio::time::{Sleep, sleep_until};

use super::{BindError, Butterfly, Handle, ffi};
use crate::config::Config;
use crate::event::Event;
use crate::node::Node;

/// Others have their turn after so many: each may be 256 datagrams.
const TURNS: usize = 4;

/// A [`Butterfly`] that a tokio runtime drives, without a thread: as long as its events are waited for.
///
/// It is driven by [`next_event`](AsyncMember::next_event), [`until`](AsyncMember::until), [`leave`](AsyncMember::leave) and as
/// a [`Stream`], and by nothing else: whoever holds one waits for its events nearly always, as a task of its own or a branch
/// of `select!`. All of them may be dropped half way, which loses nothing. It does all that a `Butterfly` does.
///
/// ```
/// use butterfly::{AsyncMember, Config, Timing};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let config = Config::new("127.0.0.1:0".parse()?).timing(Timing::local());
/// let (mut one, mut other) = (AsyncMember::bind(config.clone())?, AsyncMember::bind(config)?);
/// other.join(one.addr())?;
/// let both = |node: &butterfly::Node| node.counts().alive == 2;
/// tokio::try_join!(one.until(both), other.until(both))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })
/// # }
/// ```
///
/// To drop one waits for its disk, as for a `Butterfly`, and blocks its thread for that: [`close`](AsyncMember::close) does not.
#[derive(Debug)]
pub struct AsyncMember {
    /// The member's descriptor, as one of its own, so that nobody closes it who has the member.
    watched: AsyncFd<OwnedFd>,
    member: Butterfly,
    sleep: Pin<Box<Sleep>>,
    /// It has left, or was told to depart or to stop: nothing more comes.
    is_over: bool,
}

impl AsyncMember {
    /// Binds the socket, and reads the data directory. To be called in a runtime with I/O and time.
    ///
    /// # Errors
    /// As [`Butterfly::bind`]; `Io` if the runtime cannot watch its descriptor.
    pub fn bind(config: Config) -> Result<Self, BindError> {
        Ok(AsyncMember::drive(Butterfly::bind(config)?)?)
    }

    /// Drives this one from now on.
    ///
    /// # Errors
    /// If the runtime cannot watch its descriptor.
    pub fn drive(member: Butterfly) -> io::Result<Self> {
        Ok(AsyncMember {
            watched: ffi::watch(member.as_fd().try_clone_to_owned()?)?,
            member,
            sleep: Box::pin(sleep_until(tokio::time::Instant::now())),
            is_over: false,
        })
    }

    /// The next event; `None`: it has left the ring, was told to depart, or was [stopped](Butterfly::stop), and the event that
    /// said so was taken.
    ///
    /// # Errors
    /// As [`Butterfly::process`].
    pub async fn next_event(&mut self) -> io::Result<Option<Event>> {
        poll_fn(|cx| self.poll_next_event(cx)).await
    }

    /// Drives it until this holds, which is looked at after all that it does, and drops the events until then.
    ///
    /// # Errors
    /// As [`Butterfly::process`]; `NotConnected`: it left before that.
    pub async fn until(&mut self, mut holds: impl FnMut(&Node) -> bool) -> io::Result<()> {
        poll_fn(|cx| {
            for _ in 0..TURNS {
                while self.take_event().is_some() {}
                if holds(self.node()) {
                    return Poll::Ready(Ok(()));
                }
                if self.is_over {
                    return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
                }
                ready!(self.poll_turn(cx))?;
            }
            again(cx)
        })
        .await
    }

    /// Leaves the ring, and drives it until the others are told; events are dropped.
    ///
    /// # Errors
    /// As [`Butterfly::process`].
    pub async fn leave(&mut self) -> io::Result<()> {
        Butterfly::leave(self);
        while self.next_event().await?.is_some() {}
        Ok(())
    }

    /// Ends it without leaving the ring, as dropping does, on one of the runtime's threads for what blocks: until its disk has
    /// all that it knows.
    ///
    /// # Errors
    /// If the runtime ends meanwhile.
    pub async fn close(self) -> io::Result<()> {
        let AsyncMember { member, .. } = self;
        let closed = tokio::task::spawn_blocking(move || drop(member)).await;
        closed.map_err(io::Error::other)
    }

    /// Reaches it from other tasks, while its events are waited for.
    ///
    /// # Errors
    /// As [`Butterfly::handle`].
    pub fn handle(&mut self) -> io::Result<AsyncHandle> {
        Butterfly::handle(self).map(AsyncHandle)
    }

    fn poll_next_event(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Event>>> {
        for _ in 0..TURNS {
            if let Some(event) = self.take_event() {
                return Poll::Ready(Ok(Some(event)));
            }
            if self.is_over {
                return Poll::Ready(Ok(None));
            }
            ready!(self.poll_turn(cx))?;
        }
        again(cx)
    }

    /// The next event that is there. Once it is over, there is none.
    fn take_event(&mut self) -> Option<Event> {
        let event = Some(&mut self.member)
            .filter(|_| !self.is_over)?
            .poll_event();
        self.is_over = match &event {
            Some(event) => matches!(event, Event::Left | Event::Expelled),
            None => self.member.is_stopped(),
        };
        event
    }

    /// Waits until there is something to do, and does it.
    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let is_due = match self.member.deadline() {
            Some(due) if due <= Instant::now() => true,
            Some(due) => {
                self.sleep.as_mut().reset(due.into());
                self.sleep.as_mut().poll(cx).is_ready()
            }
            None => false,
        };
        if !is_due {
            // Before processing: what arrives in between sets it again.
            ready!(self.watched.poll_read_ready(cx))?.clear_ready();
        }
        Poll::Ready(self.member.process())
    }
}

/// Others have their turn now.
fn again<T>(cx: &Context<'_>) -> Poll<T> {
    cx.waker().wake_by_ref();
    Poll::Pending
}

impl Deref for AsyncMember {
    type Target = Butterfly;

    fn deref(&self) -> &Butterfly {
        &self.member
    }
}

impl DerefMut for AsyncMember {
    fn deref_mut(&mut self) -> &mut Butterfly {
        &mut self.member
    }
}

/// Its events, until it has left.
impl Stream for AsyncMember {
    type Item = io::Result<Event>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_next_event(cx).map(Result::transpose)
    }
}

/// Reaches an [`AsyncMember`] from other tasks. Cheap to clone.
#[derive(Clone, Debug)]
pub struct AsyncHandle(Handle);

impl AsyncHandle {
    /// Has this done by the member, soon and in the order of asking, and says what came of it.
    ///
    /// # Errors
    /// `BrokenPipe`: the member is gone.
    pub async fn call<T: Send + 'static>(
        &self,
        command: impl FnOnce(&mut Butterfly) -> T + Send + 'static,
    ) -> io::Result<T> {
        let (answer, answered) = oneshot::channel();
        // Nobody may wait for it any more.
        self.0
            .send(move |member| _ = answer.send(command(member)))?;
        answered.await.map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::runtime::Builder;
    use tokio::time::timeout;

    use super::*;
    use crate::Timing;

    fn member() -> AsyncMember {
        let config = Config::new("127.0.0.1:0".parse().unwrap());
        AsyncMember::bind(config.timing(Timing::local())).unwrap()
    }

    fn in_runtime<T>(task: impl Future<Output = T>) -> T {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let patience = Duration::from_secs(20);
        runtime.block_on(async { timeout(patience, task).await.expect("it is done in time") })
    }

    fn both(node: &Node) -> bool {
        node.counts().alive == 2
    }

    #[test]
    fn two_meet_and_one_leaves() {
        in_runtime(async {
            let (mut one, mut other) = (member(), member());
            other.join(one.addr()).unwrap();
            tokio::try_join!(one.until(both), other.until(both)).unwrap();
            let id = other.node().id();
            let gone = |node: &Node| node.health_of(id) == Some(crate::Health::Departed);
            tokio::try_join!(one.until(gone), other.leave()).unwrap();
            assert_eq!(other.next_event().await.unwrap(), None);
            assert!(other.until(both).await.is_err(), "nothing more comes");
        });
    }

    #[test]
    fn another_task_asks_and_is_answered() {
        in_runtime(async {
            let (mut one, mut other) = (member(), member());
            let (handle, seed) = (one.handle().unwrap(), other.addr());
            let driven =
                tokio::spawn(async move { while one.next_event().await.unwrap().is_some() {} });
            handle
                .call(move |member| member.join(seed))
                .await
                .unwrap()
                .unwrap();
            other.until(both).await.unwrap();
            assert!(
                handle
                    .call(|member| member.members().count())
                    .await
                    .unwrap()
                    >= 1
            );
            handle.call(Butterfly::stop).await.unwrap();
            driven.await.unwrap();
            let gone = handle.call(|_| ()).await.unwrap_err();
            assert_eq!(gone.kind(), io::ErrorKind::BrokenPipe);
        });
    }

    #[test]
    fn to_drop_a_wait_half_way_loses_nothing() {
        in_runtime(async {
            let (mut one, mut other) = (member(), member());
            let id = other.node().id();
            other.join(one.addr()).unwrap();
            let driven = tokio::spawn(async move { other.until(|_| false).await });
            let mut seen = Vec::new();
            while seen.is_empty() {
                // Mostly, it ends before there is anything.
                if let Ok(event) = timeout(Duration::from_micros(200), one.next_event()).await {
                    seen.extend(event.unwrap());
                }
            }
            let its =
                |event: &Event| matches!(event, Event::MemberChanged { id: its, .. } if *its == id);
            assert!(its(&seen[0]), "{seen:?}");
            driven.abort();
        });
    }

    #[test]
    fn what_no_event_tells_of_is_seen_too() {
        in_runtime(async {
            let mut one = member();
            one.until(|node| node.now() >= crate::Time::from_micros(300_000))
                .await
                .unwrap();
            one.close().await.unwrap();
        });
    }

    #[test]
    fn members_may_change_places() {
        in_runtime(async {
            let (mut one, mut other) = (member(), member());
            std::mem::swap::<Butterfly>(&mut one, &mut other);
            drop(one);
            // What it waits for is gone, but nothing else is closed or woken in its place.
            other
                .until(|node| node.now() >= crate::Time::from_micros(300_000))
                .await
                .unwrap();
        });
    }

    /// As a combinator of any library drives it.
    #[test]
    fn it_is_a_stream_of_its_events() {
        in_runtime(async {
            let (mut one, mut other) = (member(), member());
            other.join(one.addr()).unwrap();
            let driven = tokio::spawn(async move { other.until(both).await });
            let event = poll_fn(|cx| Pin::new(&mut one).poll_next(cx)).await;
            assert!(matches!(event, Some(Ok(Event::MemberChanged { .. }))));
            Butterfly::stop(&mut one);
            while let Some(event) = poll_fn(|cx| Pin::new(&mut one).poll_next(cx)).await {
                event.unwrap();
            }
            driven.abort();
        });
    }
}
