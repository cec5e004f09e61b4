//! The rumor machinery against what Demers et al. published ("Epidemic algorithms for replicated database
//! maintenance", PODC 1987, Table 1): push with feedback and a counter, 1 000 sites. What is real here: stores, what is
//! hot and when it is cold, telling, receiving, feedback. The harness delivers at once, lets each site tell once a
//! round, and has Demers' rule where ours differs: only pushes that were not needed count, k of them in a row, at the
//! sender, and all of a round are made at the same time.

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};
    use std::net::SocketAddr;

    use crate::config::Timing;
    use crate::env::Env;
    use crate::gossip::hot::Telling;
    use crate::gossip::store::content_hash;
    use crate::gossip::{Gossip, What};
    use crate::journal::Journal;
    use crate::limits::MAX_RUMOR_BYTES;
    use crate::member::{Health, MemberId};
    use crate::ring::{Peer, Ring};
    use crate::rumor::{Audience, ServiceConfig};
    use crate::time::Time;
    use crate::timer::TimerWheel;
    use crate::wire::read_rumor;
    use crate::wire::reconcile::{Part, read_parts};

    const SITES: usize = 1_000;

    fn id(site: usize) -> MemberId {
        let mut bytes = [7; 16];
        bytes[..8].copy_from_slice(&(site as u64).to_be_bytes());
        MemberId::from_bytes(bytes)
    }

    fn site(id: &MemberId) -> usize {
        let (head, _) = id.as_bytes().split_at(8);
        u64::from_be_bytes(head.try_into().unwrap()) as usize
    }

    fn peer(site: usize) -> Peer {
        Peer {
            id: id(site),
            addr: SocketAddr::from(([127, 0, 0, 1], 1)),
            ours: true,
            compares: true,
            heard: true,
            audience: Audience::Ours,
        }
    }

    /// All sites, as this one sees them.
    struct All(usize);

    impl Ring for All {
        fn me(&self) -> MemberId {
            id(self.0)
        }

        fn name(&self) -> &str {
            ""
        }

        fn incarnation(&self) -> u64 {
            0
        }

        fn living(&self) -> usize {
            SITES
        }

        fn hears(&self, _now: crate::time::Time) -> bool {
            true
        }

        fn health(&self, _: &MemberId) -> Option<Health> {
            Some(Health::Alive)
        }

        fn is_exiled(&self, _: &MemberId) -> bool {
            false
        }

        fn is_forgotten(&self, _: &MemberId) -> bool {
            false
        }

        fn peer(&self, id: &MemberId) -> Option<Peer> {
            Some(peer(site(id)))
        }

        fn peers(&self) -> impl Iterator<Item = Peer> {
            (0..SITES).filter(|site| *site != self.0).map(peer)
        }

        fn pick(&self, _: Audience, most: usize, rng: &mut StdRng, chosen: &mut Vec<Peer>) {
            chosen.clear();
            while chosen.len() < most {
                let one = rng.random_range(0..SITES);
                if one != self.0 && chosen.iter().all(|peer| peer.id != id(one)) {
                    chosen.push(peer(one));
                }
            }
        }

        fn living_from(&self, _: u32) -> Option<(MemberId, u32)> {
            None
        }
    }

    struct Epidemic {
        env: Env,
        sites: Vec<Gossip>,
        /// Whoever holds the rumor, and how many did when the round began.
        holders: Vec<usize>,
        at_first: usize,
        sent: usize,
        bytes: Vec<u8>,
        hash: u64,
    }

    /// What is left when nobody tells any more: the share that has not heard it, and messages a site.
    #[derive(Debug)]
    struct Outcome {
        residue: f64,
        sends: f64,
    }

    impl Epidemic {
        fn new(seed: u64, timing: &Timing) -> Self {
            let mut env = Env {
                now: Time::ZERO,
                wall: Time::ZERO,
                rng: StdRng::seed_from_u64(seed),
                timers: TimerWheel::new(Time::ZERO),
                journal: Journal::default(),
            };
            let mut sites: Vec<_> = (0..SITES)
                .map(|_| Gossip::new(timing, true, MAX_RUMOR_BYTES, (7, 1), &mut env))
                .collect();
            let config = ServiceConfig::new("redis.default".parse().unwrap(), 1, "port = 6380\n");
            sites[0].apply_config(&mut env, &All(0), config).unwrap();
            let entry = sites[0].store.iter().next().unwrap();
            let (bytes, kind) = (entry.bytes.to_vec(), entry.id.kind);
            let hash = content_hash(kind, read_rumor(&bytes).unwrap().payload);
            Epidemic {
                env,
                sites,
                holders: vec![0],
                at_first: 1,
                sent: 0,
                bytes,
                hash,
            }
        }

        /// Runs until nobody tells any more. Demers' rule with this `k`, or ours.
        fn run(mut self, k: Option<u8>) -> Outcome {
            while self.sites.iter().any(|site| !site.hot.is_empty()) {
                // Who hears it in a round tells it from the next on.
                self.at_first = self.holders.len();
                for teller in self.holders.clone() {
                    if let Some(k) = k {
                        self.count_feedback_alone(teller, k);
                    }
                    let telling = match self.sites[teller].hot.has_fresh() {
                        true => Telling::First,
                        false => Telling::Again,
                    };
                    self.sites[teller].tell_some(&mut self.env, &All(teller), telling);
                    self.deliver(teller, k);
                }
            }
            Outcome {
                residue: 1.0 - self.holders.len() as f64 / SITES as f64,
                sends: self.sent as f64 / SITES as f64,
            }
        }

        /// Ours counts what it told, too; there that does not count, until it is enough.
        fn count_feedback_alone(&mut self, teller: usize, k: u8) {
            let store = &mut self.sites[teller].store;
            let place = store.find_hash(self.hash);
            if let Some(entry) = place.and_then(|place| store.get_mut(place)) {
                entry.told = u8::from(entry.heard >= k);
            }
        }

        /// What the teller has queued arrives.
        fn deliver(&mut self, teller: usize, k: Option<u8>) {
            while let Some(push) = self.sites[teller].next_push(Time::ZERO, |_, _| Some(0)) {
                assert!(matches!(push.id.what, What::Rumor(..)));
                self.sent += 1;
                self.tell(teller, site(&push.id.peer), k);
            }
            while let Some(talk) = self.sites[teller].next_talk() {
                let parts = read_parts(&talk.parts).unwrap();
                assert!(matches!(&parts[..], [Part::Have(_)]), "{parts:?}");
                self.sent += 1;
                self.tell(teller, site(&talk.to), k);
            }
        }

        fn tell(&mut self, teller: usize, to: usize, k: Option<u8>) {
            let hears = &mut self.sites[to];
            let knew = hears.store.find_hash(self.hash);
            let heard = knew.and_then(|place| Some(hears.store.get(place)?.heard));
            let frame = read_rumor(&self.bytes).unwrap();
            let kind = frame.kind.unwrap();
            hears
                .receive(&mut self.env, &All(to), kind, &frame)
                .unwrap();
            if knew.is_none() {
                self.holders.push(to);
            }
            if k.is_none() {
                return;
            }
            // Ours counts what it hears back; there the one who was told does not, but replies that it knew.
            if let Some((place, heard)) = knew.zip(heard)
                && let Some(entry) = hears.store.get_mut(place)
            {
                entry.heard = heard;
            }
            let place = self.sites[teller].store.find_hash(self.hash).unwrap();
            // All tell at the same time: who hears it twice in a round needed both.
            if self.holders[..self.at_first].contains(&to) {
                self.sites[teller].heard_back(place);
            } else if let Some(entry) = self.sites[teller].store.get_mut(place) {
                entry.heard = 0;
            }
        }
    }

    /// On average over so many epidemics.
    fn outcome(timing: &Timing, k: Option<u8>, epidemics: u64) -> Outcome {
        let outcomes: Vec<_> = (0..epidemics)
            .map(|seed| Epidemic::new(seed, timing).run(k))
            .collect();
        let mean =
            |of: fn(&Outcome) -> f64| outcomes.iter().map(of).sum::<f64>() / epidemics as f64;
        Outcome {
            residue: mean(|outcome| outcome.residue),
            sends: mean(|outcome| outcome.sends),
        }
    }

    /// One push a round, and cold after k pushes that were not needed.
    fn demers(k: u8) -> Timing {
        let mut timing = Timing::lan();
        timing.gossip_fanout = 1;
        // `tellings` is to be k + 1, of which one stands for having told it at all.
        timing.gossip_factor = (f64::from(k) - 3.5) / (SITES as f64).log2();
        timing
    }

    #[test]
    fn push_with_feedback_and_a_counter_leaves_and_costs_what_was_published() {
        for (k, residue, sends) in [(3, 0.011, 4.5), (4, 0.0036, 5.6), (5, 0.0012, 6.7)] {
            let ours = outcome(&demers(k), Some(k), 60);
            println!("k = {k}: {ours:?}; published: {residue}, {sends}");
            assert!((ours.residue / residue - 1.0).abs() < 0.25, "{ours:?}");
            assert!((ours.sends / sends - 1.0).abs() < 0.05, "{ours:?}");
        }
    }

    #[test]
    fn ours_leaves_nobody_out() {
        let ours = outcome(&Timing::lan(), None, 60);
        println!("ours: {ours:?}");
        assert_eq!(ours.residue, 0.0);
        assert!(ours.sends < 14.0, "{ours:?}");
    }
}
