//! A member of a ring as a task of a tokio runtime, beside others.
//!
//! `cargo run --example embed_tokio`

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use butterfly::{Butterfly, Config, Event, Health, MemberId, Timing};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::UdpSocket;
use tokio::runtime::Builder;
use tokio::time::{Instant, timeout, timeout_at};

/// All of this takes half a second; on a machine that is busy, more.
const PATIENCE: Duration = Duration::from_secs(30);

/// A member that tokio watches.
struct Member(AsyncFd<Butterfly>);

impl Member {
    #[allow(unsafe_code)] // As tokio asks for it.
    fn bind(config: Config) -> Result<Self, Box<dyn Error>> {
        let butterfly = Butterfly::bind(config)?;
        // SAFETY: a Butterfly's descriptor is its own, open and the same for as long as it lives.
        let watched = unsafe { AsyncFd::register_with_interest(butterfly, Interest::READABLE) };
        Ok(Member(watched.map_err(io::Error::from)?))
    }

    /// The next event; the member is driven while that is waited for, and only then. To drop this future half
    /// way, as `select!` does, loses nothing.
    async fn next_event(&mut self) -> io::Result<Event> {
        loop {
            if let Some(event) = self.0.get_mut().poll_event() {
                return Ok(event);
            }
            match self.0.get_ref().deadline() {
                // Taking the mark away comes before processing: what arrives in between makes a new one.
                Some(deadline) => {
                    if let Ok(ready) =
                        timeout_at(Instant::from_std(deadline), self.0.readable_mut()).await
                    {
                        ready?.clear_ready();
                    }
                }
                None => self.0.readable_mut().await?.clear_ready(),
            }
            self.0.get_mut().process()?;
        }
    }

    /// Drives the member until it holds another for this.
    async fn await_health(&mut self, of: MemberId, health: Health) -> io::Result<()> {
        while self.0.get_ref().node().health_of(of) != Some(health) {
            let event = self.next_event().await?;
            println!("{}: {event:?}", self.0.get_ref().node().id());
        }
        Ok(())
    }
}

/// What else the program does: here, a service that echoes.
async fn echo(socket: UdpSocket) -> io::Result<()> {
    let mut buf = [0; 512];
    loop {
        let (len, from) = socket.recv_from(&mut buf).await?;
        socket.send_to(&buf[..len], from).await?;
    }
}

async fn ask(service: SocketAddr) -> io::Result<()> {
    let socket = UdpSocket::bind("127.0.0.1:0").await?;
    let mut buf = [0; 512];
    for number in 0..1_000_u32 {
        socket.send_to(&number.to_be_bytes(), service).await?;
        let len = socket.recv(&mut buf).await?;
        assert_eq!(buf[..len], number.to_be_bytes());
    }
    Ok(())
}

async fn program() -> Result<(), Box<dyn Error>> {
    let socket = UdpSocket::bind("127.0.0.1:0").await?;
    let service = socket.local_addr()?;
    let echo = tokio::spawn(echo(socket));
    let client = tokio::spawn(ask(service));

    let mut config = Config::new("127.0.0.1:0".parse()?);
    config.timing = Timing::local(); // for one machine; the default is Timing::lan()
    let mut one = Member::bind(config.clone())?;
    let one_id = one.0.get_ref().node().id();
    let seed = one.0.get_ref().local_addr();

    // The other member is a task of its own: it joins, and goes as soon as it has met the one.
    let mut other = Member::bind(config)?;
    let other_id = other.0.get_ref().node().id();
    let other = tokio::spawn(async move {
        other.0.get_mut().join(seed).map_err(io::Error::other)?;
        other.await_health(one_id, Health::Alive).await?;
        other.0.get_mut().leave();
        // Who is told to depart for good does not stay either.
        while !matches!(other.next_event().await?, Event::Left | Event::Expelled) {}
        io::Result::Ok(())
    });
    one.await_health(other_id, Health::Departed).await?;
    other.await??;
    client.await??;
    echo.abort();
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async { timeout(PATIENCE, program()).await? })
}

#[test]
fn it_runs() {
    main().unwrap();
}
