//! Elections in the smallest world that has all of it: three members, every order in which ten messages can arrive, two
//! crashes and one cut of the network that heals. What is real here: the rules of `election`. A member sees at once who
//! is there, and hears again of what it was not told; how that comes about is the business of others.

#[cfg(test)]
mod tests {
    use crate::explore::{Found, World, explore};
    use crate::gossip::election::{
        INCUMBENT, Next, Outlook, Role, Standing, is_finished, merge, next, same, start,
    };
    use crate::member::MemberId;
    use crate::rumor::{Election, ElectionStatus, ServiceGroup};

    const MEMBERS: usize = 3;

    fn id(member: usize) -> MemberId {
        MemberId::from_bytes([member as u8 + 1; 16])
    }

    fn member(id: MemberId) -> usize {
        usize::from(id.as_bytes()[0]) - 1
    }

    /// An election in two bytes, as a million worlds are remembered.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    struct Code(u16);

    impl Code {
        fn of(election: &Election) -> Code {
            assert!(election.term < 64, "terms do not end: {election:?}");
            let fit = match election.suitability {
                INCUMBENT => 3,
                fit => fit as u16,
            };
            let votes = election.votes.iter().map(|voter| 1 << member(*voter));
            let parts = [
                (member(election.candidate) as u16, 2),
                (fit, 2),
                (election.status as u16, 2),
                (votes.sum(), 3),
                (election.term as u16, 6),
            ];
            Code(
                parts
                    .iter()
                    .fold(0, |code, (part, bits)| code << bits | part),
            )
        }

        fn election(self, rules: &Rules) -> Election {
            let Code(bits) = self;
            let votes = (0..MEMBERS).filter(|voter| bits >> (6 + voter) & 1 == 1);
            Election {
                candidate: id(usize::from(bits >> 13)),
                group: rules.group.clone(),
                term: u64::from(bits & 63),
                suitability: match bits >> 11 & 3 {
                    3 => INCUMBENT,
                    fit => u64::from(fit),
                },
                status: [
                    ElectionStatus::Running,
                    ElectionStatus::NoQuorum,
                    ElectionStatus::Finished,
                ][usize::from(bits >> 9 & 3) - 1],
                votes: votes.map(id).collect(),
            }
        }
    }

    /// What is left of what may happen.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    struct Budget {
        deliveries: u8,
        crashes: u8,
        cuts: u8,
    }

    #[derive(Clone, Debug, PartialEq, Eq, Hash)]
    struct Ring {
        held: [Option<Code>; MEMBERS],
        /// The last leader that each knows.
        leader: [Option<u8>; MEMBERS],
        crashed: [bool; MEMBERS],
        /// Who is cut off from the others.
        cut: Option<u8>,
        /// What is on its way from each to each, in order: what is sent while two are takes the place of the later.
        flights: [[[Option<Code>; 2]; MEMBERS]; MEMBERS],
        left: Budget,
    }

    /// A mistake that the check has to find.
    #[derive(Clone, Copy, PartialEq, Eq)]
    enum Planted {
        Nothing,
        /// A group elects without a quorum.
        NoQuorumNeeded,
        /// Votes for one candidate count for any other.
        VotesForAnyone,
        /// A candidate that is lost is waited for.
        Patience,
    }

    struct Rules {
        suitability: [u64; MEMBERS],
        planted: Planted,
        group: ServiceGroup,
    }

    impl Ring {
        fn new(left: Budget) -> Ring {
            Ring {
                held: [None; MEMBERS],
                leader: [None; MEMBERS],
                crashed: [false; MEMBERS],
                cut: None,
                flights: Default::default(),
                left,
            }
        }

        fn reaches(&self, one: usize, other: usize) -> bool {
            let side = |member: usize| self.cut == Some(member as u8);
            one == other || side(one) == side(other)
        }

        /// Whether a member holds another for living.
        fn sees(&self, member: usize, other: usize) -> bool {
            !self.crashed[other] && self.reaches(member, other)
        }

        fn outlook(&self, me: usize, held: &Election, rules: &Rules) -> Outlook {
            let standing = |other: MemberId| match self.sees(me, member(other)) {
                true => Standing::Living,
                false if rules.planted == Planted::Patience => Standing::Unknown,
                false => Standing::Lost,
            };
            let living = (0..MEMBERS).filter(|other| self.sees(me, *other));
            let electorate: Vec<_> = living.map(id).collect();
            Outlook {
                me: id(me),
                role: Role::Member,
                population: match rules.planted {
                    Planted::NoQuorumNeeded => electorate.len(),
                    _ => MEMBERS,
                },
                electorate,
                hears: true,
                suitability: rules.suitability[me],
                candidate: standing(held.candidate),
                leader: self.leader[me]
                    .map(|leader| id(usize::from(leader)))
                    .map(|leader| (leader, standing(leader))),
                incumbency: true,
            }
        }

        fn know_leader(&mut self, me: usize, election: &Election) {
            if is_finished(election) {
                self.leader[me] = Some(member(election.candidate) as u8);
            }
        }

        /// What a member makes of an election, as `Gossip::review` does.
        fn review(&mut self, me: usize, mut now: Election, rules: &Rules) {
            self.know_leader(me, &now);
            let outlook = self.outlook(me, &now, rules);
            match next(&now, &outlook) {
                Next::Nothing => {}
                Next::Say(said) | Next::Restart(said) => now = said,
            }
            self.know_leader(me, &now);
            let before = self.held[me].map(|code| code.election(rules));
            self.held[me] = Some(Code::of(&now));
            if before.is_none_or(|before| !same(&before, &now)) {
                self.tell(me);
            }
        }

        fn tell(&mut self, me: usize) {
            let Some(code) = self.held[me] else { return };
            for to in (0..MEMBERS).filter(|to| *to != me) {
                let [first, second] = &mut self.flights[me][to];
                match first {
                    None => *first = Some(code),
                    Some(_) => *second = Some(code),
                }
            }
        }

        fn start(&mut self, me: usize, rules: &Rules) {
            let fit = rules.suitability[me];
            let blank = Election {
                candidate: id(me),
                group: rules.group.clone(),
                term: 0,
                suitability: fit,
                status: ElectionStatus::Running,
                votes: vec![id(me)],
            };
            let outlook = self.outlook(me, &blank, rules);
            let started = start(&blank, 0, fit, &outlook);
            self.review(me, started, rules);
        }

        fn hear(&mut self, me: usize, heard: &Election, rules: &Rules) {
            let Some(held) = self.held[me].map(|code| code.election(rules)) else {
                return self.review(me, heard.clone(), rules);
            };
            let mut merged = merge(&held, heard);
            if rules.planted == Planted::VotesForAnyone && held.term == heard.term {
                merged.votes = [&held.votes[..], &heard.votes[..]].concat();
                merged.votes.sort_unstable();
                merged.votes.dedup();
            }
            if !same(&merged, &held) {
                self.review(me, merged, rules);
            }
        }

        /// Everybody sees at once who is there.
        fn look(&mut self, rules: &Rules) {
            for me in (0..MEMBERS)
                .filter(|me| !self.crashed[*me])
                .collect::<Vec<_>>()
            {
                if let Some(held) = self.held[me] {
                    self.review(me, held.election(rules), rules);
                }
            }
        }

        fn deliver(&self, from: usize, to: usize, rules: &Rules) -> Option<Ring> {
            let [first, second] = self.flights[from][to];
            let code = first.filter(|_| self.reaches(from, to) && !self.crashed[to])?;
            let mut world = self.clone();
            world.left.deliveries = self.left.deliveries.checked_sub(1)?;
            world.flights[from][to] = [second, None];
            world.hear(to, &code.election(rules), rules);
            Some(world)
        }
    }

    impl World for Ring {
        type Rules = Rules;
        type Rest = (
            [Option<Code>; MEMBERS],
            [Option<u8>; MEMBERS],
            [bool; MEMBERS],
        );

        fn successors(&self, rules: &Rules, to: &mut Vec<Ring>) {
            for from in 0..MEMBERS {
                to.extend((0..MEMBERS).filter_map(|other| self.deliver(from, other, rules)));
            }
            for member in 0..MEMBERS {
                if self.left.crashes > 0 && !self.crashed[member] {
                    let mut world = self.clone();
                    world.left.crashes -= 1;
                    world.crashed[member] = true;
                    world.look(rules);
                    to.push(world);
                }
                if self.left.cuts > 0 && self.cut.is_none() {
                    let mut world = self.clone();
                    world.left.cuts -= 1;
                    world.cut = Some(member as u8);
                    world.look(rules);
                    to.push(world);
                }
            }
            if self.cut.is_some() {
                let mut world = self.clone();
                world.cut = None;
                world.look(rules);
                to.push(world);
            }
        }

        /// Two living members that lead in the same term, by what anybody alive holds.
        fn is_wrong(&self, rules: &Rules) -> bool {
            let living = (0..MEMBERS).filter(|member| !self.crashed[*member]);
            let held: Vec<_> = living
                .filter_map(|member| Some(self.held[member]?.election(rules)))
                .collect();
            let leads = |election: &&Election| {
                is_finished(election) && !self.crashed[member(election.candidate)]
            };
            let leaders: Vec<_> = held.iter().filter(leads).collect();
            leaders.iter().any(|one| {
                let rival =
                    |other: &&&Election| one.term == other.term && one.candidate != other.candidate;
                leaders.iter().any(|other| rival(&other))
            })
        }

        fn rest(&self) -> Self::Rest {
            (self.held, self.leader, self.crashed)
        }

        /// Everybody alive holds the same, and a quorum has a living leader.
        fn comes_to_rest(&self, rules: &Rules) -> bool {
            let mut world = self.clone();
            world.cut = None;
            world.look(rules);
            let living: Vec<_> = (0..MEMBERS)
                .filter(|member| !world.crashed[*member])
                .collect();
            for _ in 0..20 {
                let before = world.held;
                // Comparing stores, each tells each other what it holds.
                for from in &living {
                    for to in living.iter().filter(|to| *to != from) {
                        if let Some(code) = world.held[*from] {
                            world.hear(*to, &code.election(rules), rules);
                        }
                    }
                }
                world.look(rules);
                if world.held == before {
                    break;
                }
            }
            let held: Vec<_> = living
                .iter()
                .map(|member| world.held[*member].map(|code| code.election(rules)))
                .collect();
            let leader = held
                .iter()
                .flatten()
                .find(|held| is_finished(held))
                .map(|held| member(held.candidate));
            let quorum = living.len() * 2 > MEMBERS;
            let none = held.iter().all(Option::is_none);
            let agree = held.iter().all(|one| match (one, &held[0]) {
                (Some(one), Some(first)) => same(one, first),
                (one, first) => one.is_none() && first.is_none(),
            });
            none || agree && (!quorum || leader.is_some_and(|leader| !world.crashed[leader]))
        }
    }

    fn found(starters: &[usize], rules: &Rules, left: Budget) -> Found<Ring> {
        let mut first = Ring::new(left);
        let mut start = |member: &usize| first.start(*member, rules);
        starters.iter().for_each(&mut start);
        explore(first, rules)
    }

    fn rules(suitability: [u64; MEMBERS], planted: Planted) -> Rules {
        Rules {
            suitability,
            planted,
            group: "redis.default".parse().unwrap(),
        }
    }

    const TEN: Budget = Budget {
        deliveries: 10,
        crashes: 2,
        cuts: 1,
    };

    #[test]
    fn no_term_has_two_leaders_and_every_world_can_come_to_rest() {
        let found = found(&[0, 1, 2], &rules([0; MEMBERS], Planted::Nothing), TEN);
        assert!(found.worlds >= 1_000_000, "{found:?}");
        assert_eq!((found.wrong, found.restless), (None, None));
    }

    #[test]
    fn nor_where_fewer_begin_or_one_is_fitter() {
        let left = Budget {
            deliveries: 7,
            ..TEN
        };
        for starters in [&[0][..], &[0, 2], &[0, 1, 2]] {
            for fit in [[0, 0, 0], [1, 0, 0], [0, 1, 0]] {
                let found = found(starters, &rules(fit, Planted::Nothing), left);
                assert!(found.worlds > 1_000, "{found:?}");
                let wrong = (found.wrong, found.restless);
                assert_eq!(wrong, (None, None), "{starters:?} {fit:?}");
            }
        }
    }

    #[test]
    fn a_planted_mistake_is_found() {
        let left = Budget {
            deliveries: 6,
            ..TEN
        };
        let found = |planted| self::found(&[0, 1, 2], &rules([0; MEMBERS], planted), left);
        let elects_without = found(Planted::NoQuorumNeeded);
        assert!(elects_without.wrong.is_some());
        let counts_all = found(Planted::VotesForAnyone);
        assert!(counts_all.wrong.is_some());
        let waits = found(Planted::Patience);
        assert!(waits.wrong.is_none() && waits.restless.is_some());
    }
}
