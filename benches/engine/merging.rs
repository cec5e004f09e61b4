//! A membership that is read already and says nothing new is merged into the table: what that costs beside reading it.

use std::collections::HashMap;
use std::hint::black_box;

use butterfly::member::{Health, Incarnation, MemberId};
use butterfly::wire::{Accusers, MemberRecord, MembershipRecord};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::Bench;
use kit::measure::{COLUMNS, compare, cost_of, in_turns};
use kit::world::{World, record};

/// Memberships in a batch.
const BATCH: usize = 8_192;
/// So many batches are of others, before the first comes again: at 100 000 members nothing of it is in a cache by then.
const BATCHES: usize = 16;

/// What one of the world's members is said to be: just what is held.
fn stale(number: u32) -> MembershipRecord<'static> {
    MembershipRecord {
        member: MemberRecord {
            features: 0,
            ..record(number)
        },
        health: Health::Alive,
        accusers: Accusers::NONE,
    }
}

#[inline(never)]
pub fn merge(world: &mut World, record: &MembershipRecord<'_>) {
    let heard = world.node.hear_membership(record);
    black_box(heard.is_ok());
}

impl Bench {
    /// Decoded memberships that say nothing new, beside a look into the standard library's map.
    pub fn merging(&mut self) {
        let title =
            "a decoded membership that says nothing new; the floor: its id looked up in a HashMap";
        self.report.table(title, &COLUMNS);
        for members in self.sizes() {
            self.merge(members);
        }
    }

    fn merge(&mut self, members: u32) {
        let name = format!("membership merged, {members} members");
        if !self.args.wants(&name) {
            return;
        }
        let mut world = World::settled(false, members);
        let held = (0..members).map(|number| (record(number).id, Incarnation::ZERO));
        let map: HashMap<MemberId, Incarnation> = held.collect();
        let mut rng = StdRng::seed_from_u64(3);
        let records = (0..BATCH * BATCHES).map(|_| stale(rng.random_range(1..members)));
        let records: Vec<_> = records.collect();
        let mut of_floor = records.chunks(BATCH).cycle();
        let mut of_ours = of_floor.clone();
        let adopted = world.node.stats().records_adopted;
        let [floor, ours] = in_turns(
            self.effort(60, BATCH),
            [
                &mut |times| {
                    let batch = of_floor.next().unwrap_or_default();
                    cost_of(|| {
                        for record in &batch[..times] {
                            let held = map.get(&record.member.id);
                            black_box(held.is_some_and(|held| *held >= record.member.incarnation));
                        }
                    })
                },
                &mut |times| {
                    let batch = of_ours.next().unwrap_or_default();
                    cost_of(|| {
                        for record in &batch[..times] {
                            merge(&mut world, record);
                        }
                    })
                },
            ],
        );
        assert_eq!(world.node.stats().records_adopted, adopted);
        compare(&mut self.report, &name, ("floor", &floor), &ours);
    }
}
