//! The work of `engine` and `ack_throughput` done with other implementations of SWIM, side by side in one run.

mod butterfly_member;
mod engines;
mod flood;
mod foca_member;
mod loopback;
mod memberlist_member;

use kit::args;
use std::io;
use std::process::ExitCode;
use std::time::Duration;

use kit::args::Args;
use kit::report::Report;

#[global_allocator]
static ALLOCATOR: kit::counting::Counting = kit::counting::Counting;

const HELP: &str = "\
cargo run --release --manifest-path benches/peers/Cargo.toml [-- WORD...]: what engine and ack_throughput measure,
done by foca and memberlist too, in turns with butterfly in one run; only the rows whose names have a WORD in them.

  ping -> ack     a ping arrives, its Ack is handed out: nanoseconds and allocations; foca and butterfly
  membership      what a stale one on a ping adds: read for the first time, and (butterfly) heard before;
                  memberlist's is its codec alone
  loading         all members become known: time, and heap bytes for each
  acks            pings from sockets on loopback to a member on one, with nothing or six stale memberships on board: CPU for
                  an Ack, beside a bare echo of datagrams as long as butterfly's, and one of datagrams as short as foca's;
                  butterfly and the echoes read and answer several in a row, foca one after the other, as a plain driver
                  does, and in rows, too; nothing is sealed, as foca seals nothing

  --seconds N     how long each row of acks is measured, for each of two ways (2)
  --quick         everything a few times: shows that it works

foca: postcard, SocketAddrV4 as identity, nothing periodic, a runtime that only counts or sends. memberlist: tokio on one
thread, u64 as identity, TCP transport (UDP for what is measured), no checksum, compression or encryption, nothing
periodic; its state machine is not to be had without its transport, so it has no row where there are no sockets.";

fn main() -> ExitCode {
    args::conclude(run())
}

fn run() -> io::Result<()> {
    let Some(mut args) = Args::read(HELP) else {
        return Ok(());
    };
    let quick = args.rest.iter().position(|arg| arg == "--quick");
    args.measure = quick.is_none();
    if let Some(at) = quick {
        args.rest.remove(at);
    }
    let seconds = args.number("--seconds").unwrap_or(2.0);
    let seconds = if args.measure { seconds } else { 0.05 };
    args.words();
    let mut peers = Peers {
        report: Report::new(
            "peers",
            "nanoseconds from a ping to its Ack, batch by batch",
            &args,
        ),
        time: Duration::from_secs_f64(seconds),
        args,
    };
    peers.pings();
    peers.memberships();
    peers.loading()?;
    peers.acks()?;
    peers.report.finish()
}

struct Peers {
    args: Args,
    report: Report,
    /// For each row on sockets, and for each of the ways to measure.
    time: Duration,
}

impl Peers {
    /// Members of a ring.
    fn sizes(&self) -> Vec<u32> {
        if self.args.measure {
            vec![10, 1_000, 10_000, 100_000]
        } else {
            vec![10, 100]
        }
    }
}
