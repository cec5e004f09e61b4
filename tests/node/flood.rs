//! Rumors that are made up to cost a member more time than others.

use std::time::{Duration, Instant};

use crate::support::rumors::group;
use crate::support::*;
use butterfly::Timing;
use butterfly::rumor::{Rumor, ServiceFile};
use butterfly::wire;

/// A file whose payload has these bytes from its 48th to its 96th, the words that foldhash multiplies all before them
/// with.
fn file_with(number: u32, words: [u8; 48]) -> Rumor {
    const BODY: usize = 250;
    let name = format!("{number:08}");
    let of = |body| Rumor::ServiceFile(ServiceFile::new(group("default"), 1, &*name, body));
    let encoded = wire::encode_rumor(&of(vec![b'x'; BODY]), "");
    let payload = encoded.bytes.len() - encoded.payload;
    assert!((257..=352).contains(&payload), "{payload}");
    let first = 48 - (payload - BODY);
    let mut body = vec![b'x'; BODY];
    body[first..first + 48].copy_from_slice(&words);
    of(body)
}

/// How long it takes to hear some of many such files once more: the shortest of some tries, as the machine may do
/// something else in between.
fn time_to_find(words: [u8; 48]) -> Duration {
    const COUNT: u32 = 10_000;
    let mut bench = Bench::timed(Timing::lan());
    let mut frames = Vec::new();
    for number in 0..COUNT {
        let rumor = wire::encode_rumor(&file_with(number, words), "").bytes;
        bench.hear_bytes(&rumor);
        if number % 10 == 0 {
            let mut frame = Vec::new();
            wire::seal_into(None, &rumor, &mut frame);
            frames.push(frame);
        }
    }
    assert_eq!(bench.node.rumor_count(), COUNT as usize);
    let mut hear_all = || {
        let start = Instant::now();
        for frame in &mut frames {
            bench.hear_frame(frame);
        }
        start.elapsed()
    };
    (0..5).map(|_| hear_all()).min().unwrap()
}

/// What a member holds is found by a hash of which everybody knows the recipe: whoever could make many rumors collide
/// would have all members compare each new one with all of them.
#[test]
fn nobody_makes_up_rumors_that_are_slow_to_find() {
    /// Of foldhash's fixed seeds the first: what it is xored to becomes a factor of 0.
    const FIXED: u64 = 0xc0ac_29b7_c97c_50dd;
    let zeroing: [u8; 48] = FIXED.to_le_bytes().repeat(6).try_into().unwrap();
    let (others, made_up) = (time_to_find([b'y'; 48]), time_to_find(zeroing));
    // When that was possible it was 245 times.
    assert!(made_up < others * 10, "{made_up:?} and not {others:?}");
}
