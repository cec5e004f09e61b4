//! The hand-written codec beside the code that is generated from the same `.proto`.

use std::hint::black_box;

use butterfly::wire::{self, Accusers, Encoder, HEADROOM, MemberRecord, MembershipRecord};
use butterfly_protocols::swim as pb;
use protobuf::Message as _;

use super::Bench;
use kit::measure::{COLUMNS, compare, cost_of, in_turns};
use kit::world::{datagram, ping_from, record};

/// Messages in a batch.
const BATCH: usize = 4_096;

impl Bench {
    /// A ping read and written by both.
    pub fn codec(&mut self) {
        let title = "a ping read and written; the floor: the generated code";
        self.report.table(title, &COLUMNS);
        for records in [0, 6] {
            self.reading(records);
            self.writing(records);
        }
    }

    fn reading(&mut self, records: u32) {
        let name = format!("codec: a ping with {records} records read");
        if !self.args.wants(&name) {
            return;
        }
        let mut ping = datagram(&[], &ping_from(1), &mut (2..2 + records), 1_024);
        let payload = wire::open(&[], &mut ping).expect("the ping is good");
        let [floor, ours] = in_turns(
            self.effort(100, BATCH),
            [
                &mut |times| {
                    cost_of(|| {
                        for _ in 0..times {
                            drop(black_box(pb::Swim::parse_from_bytes(black_box(payload))));
                        }
                    })
                },
                &mut |times| {
                    cost_of(|| {
                        for _ in 0..times {
                            let swim = wire::decode(black_box(payload)).expect("the ping is good");
                            black_box(&swim.message);
                            swim.memberships.for_each(|record| {
                                let _ = black_box(record);
                            });
                        }
                    })
                },
            ],
        );
        compare(&mut self.report, &name, ("generated", &floor), &ours);
    }

    fn writing(&mut self, records: u32) {
        let name = format!("codec: a ping with {records} records written");
        if !self.args.wants(&name) {
            return;
        }
        let mut ping = datagram(&[], &ping_from(1), &mut (2..2 + records), 1_024);
        let payload = wire::open(&[], &mut ping).expect("the ping is good");
        let generated = pb::Swim::parse_from_bytes(payload).expect("the ping is good");
        let mut out = Vec::with_capacity(1_024);
        let mut buf = [0; 1_024];
        let [floor, ours] = in_turns(
            self.effort(100, BATCH),
            [
                &mut |times| {
                    cost_of(|| {
                        for _ in 0..times {
                            out.clear();
                            let written = black_box(&generated).write_to_vec(&mut out);
                            written.expect("it is complete");
                            black_box(&out);
                        }
                    })
                },
                &mut |times| {
                    cost_of(|| {
                        for _ in 0..times {
                            black_box(write(&mut buf, records));
                        }
                    })
                },
            ],
        );
        compare(&mut self.report, &name, ("generated", &floor), &ours);
    }
}

fn write(buf: &mut [u8], records: u32) -> usize {
    let mut out =
        Encoder::new(&mut buf[HEADROOM..], black_box(&ping_from(1))).expect("it has room");
    for number in 2..2 + records {
        let member = MembershipRecord {
            member: MemberRecord {
                features: 0,
                ..record(number)
            },
            health: butterfly::Health::Alive,
            accusers: Accusers::NONE,
        };
        out.push(black_box(&member), 1_000);
    }
    out.finish()
}
