//! Rumors are heard, and told.

use std::hint::black_box;

use butterfly::wire;

use super::{Bench, name_of};
use kit::measure::{COLUMNS, Cost, compare, cost_of, in_turns};
use kit::world::{World, config_frame};

/// Rumors that are heard in a batch, at most.
const HEARD: u32 = 10_000;
/// Rumors that are told in a batch, one after the other.
const TOLD: usize = 10;

impl Bench {
    /// A rumor that is held already, and one that takes the place of an older one.
    pub fn hearing_rumors(&mut self) {
        let title = "a rumor of 100 bytes arrives; the floor: it is read";
        self.report.table(title, &COLUMNS);
        for sealed in [false, true] {
            for held in self.sizes() {
                self.hearing(sealed, held);
            }
        }
    }

    fn hearing(&mut self, sealed: bool, held: u32) {
        let name = |what| format!("{what} rumor, {}, {held} held", name_of(sealed));
        let [known, newer] = [name("known"), name("newer")];
        if !self.args.wants(&known) && !self.args.wants(&newer) {
            return;
        }
        let worlds = [(); 2].map(|()| World::holding(sealed, 10, held));
        let [mut one, mut other] = worlds;
        let keys = one.keys().to_vec();
        // Opening a frame writes over it, so each is made anew, with the clock stopped.
        let frames = |incarnation, count: usize| -> Vec<_> {
            let frame = |number| config_frame(&keys, number % held, incarnation);
            (0..count as u32).map(frame).collect()
        };
        let mut hear = |world: &mut World, incarnation, count| {
            let mut frames = frames(incarnation, count);
            cost_of(|| {
                for frame in &mut frames {
                    world.hear_rumor(black_box(frame));
                }
            })
        };
        let effort = self.effort(20, held.min(HEARD) as usize);
        let mut incarnation = 1;
        let read = |count| {
            let mut frames = frames(1, count);
            cost_of(|| {
                for frame in &mut frames {
                    let payload = wire::open(&keys, frame).expect("the frame is good");
                    let rumor = wire::read_rumor(payload).expect("the rumor is good");
                    drop(black_box(rumor.rumor()));
                }
            })
        };
        let hear = std::cell::RefCell::new(&mut hear);
        let [floor, old, new] = in_turns(
            effort,
            [
                &mut |count| read(count),
                &mut |count| hear.borrow_mut()(&mut one, 1, count),
                &mut |count| {
                    incarnation += 1;
                    hear.borrow_mut()(&mut other, incarnation, count)
                },
            ],
        );
        for (name, found) in [(known, old), (newer, new)] {
            compare(&mut self.report, &name, ("floor", &floor), &found);
        }
    }

    /// One hot rumor is pushed to five members, beside rumors that nobody has to be told.
    pub fn gossip_rounds(&mut self) {
        let title = "a gossip round: one hot rumor to five members; the ratio to that beside the fewest cold ones";
        self.report.table(title, &COLUMNS);
        let held = self.sizes();
        let names: Vec<_> = held
            .iter()
            .map(|held| format!("gossip round, {held} cold"))
            .collect();
        if !names.iter().any(|name| self.args.wants(name)) {
            return;
        }
        let mut round = |world: &mut World, incarnation: &mut u64, count: usize| {
            *incarnation += 1;
            let mut cost = Cost::default();
            // Each of the rumors that are in all, once; then they cool, so that it is one that is hot.
            for number in 0..count as u32 {
                let mut frame = config_frame(world.keys(), number, *incarnation);
                world.hear_rumor(&mut frame);
                cost.add(cost_of(|| world.tell()));
            }
            world.cool();
            cost
        };
        let round = std::cell::RefCell::new(&mut round);
        let effort = kit::measure::Effort {
            batch: TOLD,
            ..self.effort(300, TOLD)
        };
        let [few, some, many] = [held[0], held[1], *held.last().unwrap_or(&0)];
        let worlds = [few, some, many].map(|held| (World::holding(false, 10, held), 1));
        let [mut few, mut some, mut many] = worlds;
        let found = in_turns(
            effort,
            [
                &mut |count| round.borrow_mut()(&mut few.0, &mut few.1, count),
                &mut |count| round.borrow_mut()(&mut some.0, &mut some.1, count),
                &mut |count| round.borrow_mut()(&mut many.0, &mut many.1, count),
            ],
        );
        let floor = found[0].row();
        for (name, found) in names.iter().zip(&found) {
            self.report.row(name, &found.row());
            let ratio = format!("{name}: ratio");
            self.report.ratio(&ratio, &found.row()[..2], &floor[..2]);
        }
    }
}
