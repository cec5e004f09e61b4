//! What the engine costs, without sockets: time, and how often it asks the allocator for memory; beside each figure
//! that of the least that would have to be done.

mod codec;
mod datagrams;
mod loading;
mod merging;
mod probes;
mod rumors;
mod timers;

use kit::args;
use std::process::ExitCode;

use kit::args::Args;
use kit::measure::Effort;
use kit::report::Report;

#[global_allocator]
static ALLOCATOR: kit::counting::Counting = kit::counting::Counting;

const HELP: &str = "\
cargo bench --bench engine [-- WORD...]: what the engine costs without sockets, in nanoseconds (of the batches the
median, and the tenth that went best: other work on the machine shows in the first) and allocations, beside the least
that would have to be done, in turns with it; only the rows whose names have one of the WORDs in them:

  ping -> ack     a datagram arrives and is answered, with six memberships on board that say nothing new, and without
  membership      what such a membership adds, heard before and never heard in these bytes;
                  \"merged\": what it takes after it was read
  probe round     from its timer to its Ack
  rumor           one that is held arrives, and one that is newer than what is held
  gossip round    one hot rumor is pushed to five members, beside cold ones
  loading         a newcomer is told all members: time, allocations, and heap for each
  timer           set and cancelled, and fired
  codec           beside the code that is generated from the .proto

To see how many instructions it takes, and where they go:
  valgrind --tool=callgrind --toggle-collect='engine::datagrams::serve' \\
    target/release/deps/engine-HASH 'plain, 0 stale, 10 members' && callgrind_annotate callgrind.out.*
(without --bench it does everything only a few times: 2 000 pings. A probe round is
engine::probes::probe_round_begins and engine::probes::probe_round_ends.)";

fn main() -> ExitCode {
    args::conclude(run())
}

fn run() -> std::io::Result<()> {
    let Some(args) = Args::read(HELP) else {
        return Ok(());
    };
    let mut bench = Bench {
        report: Report::new(
            "engine",
            "nanoseconds from a ping to its Ack, batch by batch",
            &args,
        ),
        args,
    };
    bench.datagrams();
    bench.memberships();
    bench.merging();
    bench.probe_rounds();
    bench.hearing_rumors();
    bench.gossip_rounds();
    bench.loading();
    bench.timers();
    bench.codec();
    bench.report.finish()
}

struct Bench {
    args: Args,
    report: Report,
}

fn name_of(sealed: bool) -> &'static str {
    if sealed { "sealed" } else { "plain" }
}

impl Bench {
    /// How many members, rumors or timers there are.
    fn sizes(&self) -> [u32; 3] {
        if self.args.measure {
            [10, 1_000, 100_000]
        } else {
            [10, 100, 1_000]
        }
    }

    /// How many batches of how much work each.
    fn effort(&self, batches: usize, batch: usize) -> Effort {
        if self.args.measure {
            Effort { batches, batch }
        } else {
            Effort {
                batches: 2,
                batch: batch.min(1_000),
            }
        }
    }
}
