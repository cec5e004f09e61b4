//! Members of a ring as tasks of a tokio runtime, beside others.
//!
//! `cargo run --example embed_tokio --features tokio`

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use butterfly::{AsyncMember, Config, Health, Node, Timing};
use tokio::net::UdpSocket;
use tokio::runtime::Builder;
use tokio::time::timeout;

/// All of this takes half a second; on a machine that is busy, more.
const PATIENCE: Duration = Duration::from_secs(30);

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

    // For one machine; the default is Timing::lan().
    let config = Config::new("127.0.0.1:0".parse()?).timing(Timing::local());
    let mut one = AsyncMember::bind(config.clone())?;
    let mut other = AsyncMember::bind(config)?;
    let (one_id, other_id) = (one.node().id(), other.node().id());
    other.join(one.addr())?;

    // The other member is a task of its own: it goes as soon as it has met the one.
    let other = tokio::spawn(async move {
        let met = |node: &Node| node.health_of(one_id) == Some(Health::Alive);
        other.until(met).await?;
        other.leave().await
    });
    one.until(|node| node.health_of(other_id) == Some(Health::Departed))
        .await?;
    println!("{other_id} came and went");
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
