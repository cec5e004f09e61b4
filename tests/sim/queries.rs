//! Questions to the members of simulated rings: who answers, and when.

use std::collections::BTreeMap;
use std::time::Duration;

use butterfly::rumor::Answered;
use butterfly::sim::{Index, Sim, SimConfig};
use butterfly::{Event, MemberId, MemberState, Time, UserEvent};

fn secs(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

fn ask(sim: &mut Sim, member: Index, query: UserEvent) -> u64 {
    let sent = sim.command(member, |node, now| node.send_event(now, query));
    sent.unwrap().query.unwrap().id
}

/// The answers to a question, with when they came: none twice.
fn answers(sim: &mut Sim, member: Index, id: u64) -> BTreeMap<MemberId, (Time, Vec<u8>)> {
    let mut answers = BTreeMap::new();
    for (at, event) in sim.take_events(member) {
        if let Event::Answer(answer) = event
            && answer.query == id
            && let Answered::With(payload) = &answer.what
        {
            let before = answers.insert(answer.member, (at, payload.clone()));
            assert_eq!(before, None, "{answer:?}");
        }
    }
    answers
}

#[test]
fn a_hundred_members_say_how_they_hold_the_ring_in_a_second_though_some_is_lost() {
    for seed in 0..3 {
        let mut sim = Sim::new(SimConfig::new(seed));
        sim.network_mut().loss = 0.02;
        sim.start_settled(100);
        sim.run_for(secs(120.0));
        sim.take_events(5);
        let asked = sim.now();
        let id = ask(&mut sim, 5, UserEvent::query("state", []));
        sim.run_for(secs(6.0));
        let answers = answers(&mut sim, 5, id);
        assert_eq!(answers.len(), 100, "seed {seed}");
        let last = answers.values().map(|(at, _)| *at).max().unwrap();
        println!("seed {seed}: {:?}", last.since(asked));
        assert!(last.since(asked) < secs(2.5), "seed {seed}");
        let states = answers.values();
        for (_, payload) in states {
            let state = MemberState::parse(std::str::from_utf8(payload).unwrap());
            assert_eq!(state.living, 100);
            assert_eq!(state.timing[0], sim.node(5).state().timing[0]);
        }
        let lost = sim.up().map(|member| sim.node(member).stats().answers_lost);
        assert_eq!(lost.sum::<u64>(), 0, "seed {seed}");
    }
}

#[test]
fn those_that_are_asked_answer_once_and_the_question_ends() {
    let mut sim = Sim::new(SimConfig::new(4));
    sim.start_settled(10);
    sim.run_for(secs(120.0));
    let mut query = UserEvent::query("disk", "df");
    let terms = query.query.as_mut().unwrap();
    terms.members = vec!["m[".to_owned(), "m?".to_owned()];
    terms.timeout = secs(3.0);
    let id = ask(&mut sim, 0, query);
    sim.run_for(secs(1.0));
    for member in 0..10 {
        let came: Vec<_> = sim.take_events(member);
        let questions = came.into_iter().filter_map(|(_, event)| match event {
            Event::Query(question) => Some(question),
            _ => None,
        });
        let questions: Vec<_> = questions.collect();
        assert_eq!(questions.len(), 1, "member {member}");
        if member == 3 {
            continue;
        }
        let question = &questions[0];
        sim.command(member, |node, now| {
            let answer = format!("{member}");
            node.answer(now, question, Ok(answer.as_bytes())).unwrap();
            assert!(node.answer(now, question, Ok(b"twice")).is_err());
        });
    }
    sim.run_for(secs(2.5));
    let mut said = BTreeMap::new();
    let (mut received, mut is_over) = (0, false);
    for (_, event) in sim.take_events(0) {
        match event {
            Event::Answer(answer) => match &answer.what {
                Answered::With(payload) => _ = said.insert(answer.member, payload.clone()),
                _ => received += 1,
            },
            Event::QueryOver { query, .. } => is_over = query == id,
            _ => {}
        }
    }
    assert!(is_over);
    // What the first second told of was taken above.
    assert_eq!((said.len(), received), (9, 0));
    assert_eq!(said.get(&sim.id(7)), Some(&b"7".to_vec()));
}
