//! A subject: any bytes on a gossip connection are read to the same items in whatever pieces they come, and no more is held
//! than twice what came.

use butterfly::wire::zmtp::{Reader, Role, Step};

const MAX_MESSAGE: usize = 100_000;

/// What was read, with its bytes, and whether the connection is to be closed.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    items: Vec<(u8, Vec<u8>)>,
    fault: Option<butterfly::wire::zmtp::Fault>,
}

/// The first byte chooses our end and how the rest is cut into pieces; the rest is what the peer sends.
pub fn zmtp(data: &[u8]) {
    let Some((&choice, stream)) = data.split_first() else {
        return;
    };
    let role = match choice & 1 {
        0 => Role::Pull,
        _ => Role::Push,
    };
    let whole = feed(role, stream, |_| stream.len());
    let single = feed(role, stream, |_| 1);
    assert_eq!(whole, single, "single bytes");
    let mut state = u32::from(choice) | 1;
    let pieces = feed(role, stream, |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        1 + (state >> 24) as usize % 9
    });
    assert_eq!(whole, pieces, "pieces");
}

fn feed(role: Role, stream: &[u8], mut piece: impl FnMut(usize) -> usize) -> Outcome {
    let mut reader = Reader::new(role, MAX_MESSAGE);
    let mut outcome = Outcome {
        items: Vec::new(),
        fault: None,
    };
    let mut at = 0;
    while at < stream.len() {
        let len = piece(at).clamp(1, stream.len() - at);
        let input = &stream[at..at + len];
        at += len;
        let mut pos = 0;
        loop {
            let rest = &input[pos..];
            let (used, step) = match reader.read(rest) {
                Ok(read) => read,
                Err(fault) => {
                    outcome.fault = Some(fault);
                    return outcome;
                }
            };
            pos += used;
            assert!(
                reader.holds() <= 2 * at,
                "it holds more than twice what came"
            );
            let item = match step {
                Step::More => break,
                Step::Ready => (0, Vec::new()),
                Step::Message(range) => (1, rest[range].to_vec()),
                Step::Held => (1, reader.take()),
                Step::Ping(context) => (2, context.bytes().to_vec()),
                Step::Pong => (3, Vec::new()),
            };
            assert!(item.1.len() <= MAX_MESSAGE);
            outcome.items.push(item);
        }
        assert_eq!(pos, input.len(), "all of a piece is used");
    }
    outcome
}
