//! What members were told in the simulator, replayed.

use std::time::Duration;

use butterfly::node::{Replay, ReplayError, Step};
use butterfly::recording::End;
use butterfly::rumor::Query;
use butterfly::sim::{Sim, SimConfig, chaos};
use butterfly::wire::RingKey;
use butterfly::{Event, Health, UserEvent};

/// Plays a file to its end: its events, and how many marks agreed.
fn play(file: &[u8], keys: &[RingKey]) -> Result<(Vec<Event>, u64), ReplayError> {
    let mut replay = Replay::new(keys.to_vec());
    // Traces change nothing.
    replay.set_tracing(file.len().is_multiple_of(2));
    let (mut events, mut ended) = (Vec::new(), None);
    for piece in file.chunks(100_000) {
        replay.feed(piece);
        loop {
            match replay.step()? {
                Step::Starved => break,
                Step::Event(event) => events.push(event),
                Step::Ended(why) => ended = Some(why),
                _ => {}
            }
        }
    }
    replay.finish()?;
    assert_eq!(ended, Some(End::Finished));
    Ok((events, replay.marks()))
}

fn key(number: u8) -> RingKey {
    RingKey::new("ring", "20260101000000", [number; 32]).unwrap()
}

#[test]
fn each_member_of_a_ring_comes_to_the_same_when_it_is_replayed() {
    for sealed in [false, true] {
        let mut config = SimConfig::new(3);
        let keys: Vec<_> = sealed.then(|| key(1)).into_iter().collect();
        config.ring_keys = keys.clone();
        config.recorded = true;
        let mut sim = Sim::new(config);
        let all = sim.start_ring(5);
        assert!(sim.run_until(Duration::from_secs(20), Sim::all_agree));
        // A ring is given keys by such questions.
        let mut event = UserEvent::new("ring-key", "a key that nobody may read");
        event.query = Some(Query::default());
        sim.command(all[0], |node, now| node.send_event(now, event))
            .unwrap();
        sim.run_for(Duration::from_secs(1));
        sim.crash(all[4]);
        sim.run_for(Duration::from_secs(30));
        let seen: Vec<Vec<Event>> = all
            .iter()
            .map(|it| {
                sim.take_events(*it)
                    .into_iter()
                    .map(|(_, event)| event)
                    .collect()
            })
            .collect();
        let files = sim.take_recordings();
        assert_eq!(files.len(), 5);
        for (file, seen) in files.iter().zip(&seen) {
            let (events, marks) = play(file, &keys).unwrap();
            assert_eq!(&events, seen);
            let is_dead = |event: &Event| {
                matches!(
                    event,
                    Event::MemberChanged {
                        to: Health::Confirmed,
                        ..
                    }
                )
            };
            let survives = events.iter().any(is_dead);
            assert!(marks >= if survives { 30 } else { 1 }, "{marks}");
            if sealed {
                let payload = b"a key that nobody may read";
                assert!(
                    !file.windows(payload.len()).any(|there| there == payload),
                    "a payload"
                );
                let other = play(file, &[key(2)]).unwrap_err();
                let name = "ring-20260101000000".to_owned();
                assert_eq!(other, ReplayError::MissingKey { name });
                let bytes = [1; 32];
                assert!(
                    !file.windows(32).any(|there| there == bytes),
                    "the key itself"
                );
            }
        }
    }
}

/// All that a chaos run does to members and has them do.
#[test]
fn each_process_of_a_chaos_run_comes_to_the_same_when_it_is_replayed() {
    let keys = [RingKey::new("chaos", "20260101000000", [7; 32]).unwrap()];
    let mut processes = 0;
    for seed in 0..12 {
        for (process, file) in chaos::record(seed).iter().enumerate() {
            processes += 1;
            play(file, &keys)
                .unwrap_or_else(|error| panic!("seed {seed}, process {process}: {error}"));
        }
    }
    assert!(processes > 50, "{processes}");
}

/// A replay that is told something else differs, and says where.
#[test]
fn what_was_not_told_so_is_found_out() {
    let mut config = SimConfig::new(4);
    config.recorded = true;
    let mut sim = Sim::new(config);
    let all = sim.start_ring(3);
    assert!(sim.run_until(Duration::from_secs(20), Sim::all_agree));
    sim.run_for(Duration::from_secs(5));
    drop(all);
    let file = sim.take_recordings().remove(0);
    // One byte of a chunk is another one, and the checksum as well.
    use butterfly::recording::{CHUNK_HEAD, MAGIC, chunk_head};
    let (mut differ, mut at) = (0, MAGIC.len() + CHUNK_HEAD);
    while at < file.len() {
        let mut forged = file.clone();
        forged[at] ^= 1;
        let body = MAGIC.len() + CHUNK_HEAD;
        let head = chunk_head(&forged[body..]);
        forged[MAGIC.len()..body].copy_from_slice(&head);
        if let Err(ReplayError::Differs { .. }) = play(&forged, &[]) {
            differ += 1;
        }
        at += 97;
    }
    assert!(differ > 10, "{differ} of {}", file.len() / 97);
}
