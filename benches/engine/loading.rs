//! A newcomer is told the table of the whole ring.

use std::collections::HashMap;
use std::hint::black_box;

use butterfly::member::{Incarnation, MemberId};
use butterfly::wire;

use super::Bench;
use kit::counting;
use kit::measure::{Cost, cost_of, in_turns};
use kit::report::Column;
use kit::world::{World, table};

const COLUMNS: [Column; 4] = [
    ("ms", 2),
    ("ns each", 1),
    ("allocations", 0),
    ("bytes each", 1),
];

/// The least that a table of members could hold.
type Least = HashMap<MemberId, (Incarnation, [u8; 24])>;

impl Bench {
    /// The table of a ring, told to a member that knows nobody: time, allocations and memory.
    pub fn loading(&mut self) {
        let title = "a newcomer is told all members; the floor: they are read into a HashMap";
        self.report.table(title, &COLUMNS);
        for members in self.sizes() {
            self.load(members);
        }
    }

    fn load(&mut self, members: u32) {
        let name = format!("loading {members} members");
        if !self.args.wants(&name) {
            return;
        }
        let parts = table(&[], members);
        let mut bytes = [0; 2];
        let [floor_bytes, our_bytes] = &mut bytes;
        let effort = self.effort(15, 1);
        let [floor, ours] = in_turns(
            effort,
            [
                &mut |_| {
                    let mut parts = parts.clone();
                    let live = counting::live();
                    let mut held = Least::new();
                    let cost = cost_of(|| read(&mut parts, &mut held));
                    *floor_bytes = counting::live() - live;
                    black_box(held.len());
                    cost
                },
                &mut |_| -> Cost {
                    let mut parts = parts.clone();
                    let live = counting::live();
                    let mut world = World::new(false);
                    let cost = cost_of(|| world.hear_table(&mut parts));
                    *our_bytes = counting::live() - live;
                    assert_eq!(world.node.counts().alive, members as usize);
                    cost
                },
            ],
        );
        let each = f64::from(members);
        let [floor, ours] = [(floor, bytes[0]), (ours, bytes[1])].map(|(found, bytes)| {
            let [ns, _, allocations] = found.row();
            [ns / 1e6, ns / each, allocations, bytes as f64 / each]
        });
        self.report.row(&format!("{name}: floor"), &floor);
        self.report.row(&format!("{name}: ours"), &ours);
        self.report.ratio(&format!("{name}: ratio"), &ours, &floor);
    }
}

fn read(parts: &mut [Vec<u8>], held: &mut Least) {
    for part in parts {
        let payload = wire::open(&[], part).expect("the part is good");
        let swim = wire::decode(payload).expect("the part is good");
        for record in swim.memberships.flatten() {
            let member = record.member;
            let mut what = [0; 24];
            what[..2].copy_from_slice(&member.swim_port.to_be_bytes());
            held.insert(member.id, (member.incarnation, what));
        }
    }
}
